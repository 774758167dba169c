package status

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/podreload/podreload/daemonset"
)

const (
	keptEvents   = 1000
	longestText  = 2000 // bytes of a reason
	mostPaths    = 100  // that an event names
	maxFollowers = 16
	slack        = 256 // events that a follower may be behind
)

// Board keeps the last events, and hands new ones to those who follow. Its zero value is
// ready, and it is safe for concurrent use.
type Board struct {
	mu        sync.Mutex
	events    []daemonset.Event // a ring once it is full
	first     int               // the oldest of a full one
	followers map[*follower]bool
}

// follower gets events until it is too slow: then the channel is closed.
type follower struct{ events chan daemonset.Event }

var errFollowers = errors.New("too many follow the events already")

// Event puts an event down. It never blocks.
func (b *Board) Event(e daemonset.Event) {
	e.Reason = daemonset.ClipText(e.Reason, longestText)
	if len(e.Wrote) > mostPaths {
		e.Wrote = slices.Concat(e.Wrote[:mostPaths:mostPaths], []string{"…"})
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.events) < keptEvents {
		b.events = append(b.events, e)
	} else {
		b.events[b.first] = e
		b.first = (b.first + 1) % keptEvents
	}
	for f := range b.followers {
		select {
		case f.events <- e:
		default:
			delete(b.followers, f)
			close(f.events)
		}
	}
}

// Events are those of after since, oldest first, at most the last n.
func (b *Board) Events(since time.Time, n int) []daemonset.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.past(since, n)
}

func (b *Board) past(since time.Time, n int) []daemonset.Event {
	out := slices.Concat(b.events[b.first:], b.events[:b.first])
	out = slices.DeleteFunc(out, func(e daemonset.Event) bool { return !e.Time.After(since) })
	return out[max(0, len(out)-n):]
}

// follow is Events and all that come after them, until end is called.
func (b *Board) follow(since time.Time, n int) (past []daemonset.Event, f *follower, end func(), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.followers) >= maxFollowers {
		return nil, nil, nil, errFollowers
	}
	if b.followers == nil {
		b.followers = map[*follower]bool{}
	}
	f = &follower{make(chan daemonset.Event, slack)}
	b.followers[f] = true
	return b.past(since, n), f, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.followers, f)
	}, nil
}

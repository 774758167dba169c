package source

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// mode is how a feed watches its keys.
//
// Together: one watch spans them all, and what lies between them is skipped
// here. A watch brings each revision whole and in order, so its events are put
// upon the state, and the state is of one revision: one changed key among
// 50,000 costs microseconds.
//
// Apart: a watch for each range that the keys mean. Their events only say that
// something changed, and all is read again in one transaction: a transaction
// over two keys arrives as a response for each watch, nothing says which belong
// together or that one is still to come, and a progress request does not help,
// since an etcd without the fix of its issue 15220 (Debian's 3.4.23) may
// answer it ahead of events that are on their way. While that read runs, events
// queue up; those that it has covered are skipped afterwards. To ask etcd for
// what is newer than the state (WithMinModRev, or a comparison over the range)
// is no way out: it goes through every key and value of the range to filter
// them, which takes two thirds of the time of the full read (BenchmarkNewer).
//
// So a feed watches together, unless the user may not read what lies between
// the keys, or that changes so much that reading all again is cheaper; then it
// is apart for a while, or until these reads have cost as much as that did.
type mode struct {
	apart bool
	until time.Time // when apart is given up

	// waste is bytes brought for nothing since the last review, less those saved; while apart, those
	// that reads may still cost.
	waste int

	denials int // watches that etcd refused in a row
}

// apartTime is how long a feed watches apart before it tries together again.
const apartTime = 10 * time.Minute

// spans are the ranges to watch.
func (m *mode) spans(keys []string) []span {
	if m.apart {
		return spans(keys)
	}
	return hull(keys)
}

// separate goes apart, for reads that come to so many bytes.
func (m *mode) separate(bytes int) {
	m.apart, m.until, m.waste = true, time.Now().Add(apartTime), bytes
}

func (m *mode) unite() { m.apart, m.waste = false, 0 }

// review is called once in a check's interval.
func (m *mode) review() error {
	if m.apart && time.Now().Before(m.until) {
		return nil
	}
	was := m.apart
	m.unite()
	if was {
		return errReopen
	}
	return nil
}

// take brings state to the revision of events.
func (f *feed) take(ctx context.Context, events []*clientv3.Event) error {
	fresh := f.relevant(events)
	if over := f.waste - f.client.waste; !f.apart && over > f.state.bytes {
		f.separate(max(over, f.waste)) // a client that takes less than nothing has its feeds stay apart
		f.failures.reset()             // a turn is none, and much has to come before the next
		return errReopen               // the events are brought again
	}
	if len(fresh) == 0 {
		return nil
	}
	if f.apart {
		if err := f.reread(ctx); err != nil {
			return err
		}
		if f.waste -= f.state.bytes; f.waste < f.state.bytes {
			f.publish(nil) // before the turn
			f.unite()
			f.failures.reset()
			return errReopen
		}
		return nil
	}
	for _, e := range fresh {
		f.state.changes.add(string(e.Kv.Key))
		if e.Type == clientv3.EventTypeDelete {
			f.state.delete(string(e.Kv.Key))
			continue
		}
		if err := f.state.put(newItem(e.Kv)); err != nil {
			f.state = nil // only half of the events are in it
			return err
		}
	}
	f.state.revision, f.unshown = fresh[len(fresh)-1].Kv.ModRevision, true
	f.waste -= f.state.bytes
	return f.catchUp(ctx)
}

// relevant returns the events that are on our keys and not in state yet.
func (f *feed) relevant(events []*clientv3.Event) (out []*clientv3.Event) {
	for _, e := range events {
		switch {
		case !coveredBy(f.keys, string(e.Kv.Key)):
			f.waste += len(e.Kv.Key) + len(e.Kv.Value)
		case e.Kv.ModRevision > f.state.revision:
			out = append(out, e)
		}
	}
	return out
}

// coveredBy reports whether one of keys covers name.
func coveredBy(keys []string, name string) bool {
	for _, key := range keys {
		if covers(key, name) {
			return true
		}
	}
	return false
}

package source

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

var (
	errResync = errors.New("full read needed") // ends a session whose state cannot be built upon any more
	errReopen = errors.New("other watches needed")
)

// feed keeps one set of keys current for all who subscribed to it.
type feed struct {
	client *Client
	keys   []string
	cancel context.CancelFunc

	mu       sync.Mutex // guards snapshot, err, subs and said
	snapshot *Snapshot
	err      error
	subs     map[*Subscription]struct{}
	said     bool // anything was published: err says more than that it begins

	// The rest belongs to run's goroutine.
	state    *state // nil: nothing that could be built upon
	unshown  bool   // state is newer than snapshot
	held     int64  // state comes from a kept snapshot, and is not shown before it has this revision; see resume
	streams  uint64 // the watch streams seen when state was last checked
	lagging  int64  // the revision at which the last check found state behind
	brought  int64  // the highest revision that the watches have brought, of keys or not, or told
	failures backoff
	mode
	proof
}

func newFeed(c *Client, keys []string) *feed {
	f := &feed{client: c, keys: keys, cancel: func() {}, subs: make(map[*Subscription]struct{})}
	f.err = &failure{class: ErrUnavailable, cause: ErrConnecting, text: "waiting for etcd at " + strings.Join(c.config.Endpoints, ", ") + ": connecting"}
	if c.ctx.Err() != nil {
		f.err = ErrClosed
	}
	return f
}

func (f *feed) add(s *Subscription) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.subs[s] = struct{}{}
	if f.said {
		s.changed <- struct{}{}
	}
}

// remove returns how many subscriptions are left.
func (f *feed) remove(s *Subscription) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.subs, s)
	return len(f.subs)
}

// publish shows what is new: the state, or err, which is why it is not fresh.
func (f *feed) publish(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held > 0 && err == nil {
		return
	}
	f.said = true
	unshown := f.unshown && f.held == 0
	if !unshown && fmt.Sprint(err) == fmt.Sprint(f.err) {
		return
	}
	f.err = err
	if unshown {
		f.snapshot, f.unshown = f.state.snapshot(), false
	}
	for s := range f.subs {
		select {
		case s.changed <- struct{}{}:
		default:
		}
	}
}

// run repeats sessions until ctx ends.
func (f *feed) run(ctx context.Context) {
	for {
		began := time.Now()
		err := f.session(ctx)
		switch {
		case ctx.Err() != nil:
			f.publish(ErrClosed)
			return
		case errors.Is(err, errResync):
			f.state, f.unshown, f.held = nil, false, 0
		case errors.Is(err, errReopen):
		default:
			f.publish(f.client.explain(err, f.client.denied(ctx, err, f.keys)))
		}
		f.client.pause(ctx, f.delay(err, time.Since(began)))
	}
}

// delay is how long to wait after a session that took so long and ended with err.
func (f *feed) delay(err error, took time.Duration) time.Duration {
	if errors.Is(err, errTooMuch) {
		// Only a person mends it. Other keys are another feed, which does not wait for this.
		return jitter(tooMuchDelay)
	}
	if took > maxDelay {
		f.failures.reset()
	}
	return f.failures.next()
}

// session brings state up to date and follows it until something breaks.
func (f *feed) session(ctx context.Context) error {
	f.streams, _ = f.client.streams.now()
	if err := f.sync(ctx); err != nil {
		return err
	}
	var forwarders sync.WaitGroup
	defer forwarders.Wait()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	deadline := time.AfterFunc(callTimeout, func() { cancel(context.DeadlineExceeded) })
	events, err := f.watch(ctx, &forwarders, func() { deadline.Reset(callTimeout) })
	deadline.Stop()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	f.publish(nil)
	return f.follow(ctx, events)
}

// sync makes sure that state is true. Much that is held is checked rather than
// read again: most outages end with nothing changed.
func (f *feed) sync(ctx context.Context) error {
	if f.state != nil && f.state.bytes > small {
		v, err := f.client.check(ctx, f.keys, f.state)
		if err != nil {
			return err
		}
		if v != stale {
			f.checked(v)
			return nil
		}
	}
	return f.reread(ctx)
}

// reread reads all. Where it is little, what is held stays if it is still the same, and else it is known what has
// changed, as after events.
func (f *feed) reread(ctx context.Context) error {
	s, err := f.client.read(ctx, f.keys)
	if err != nil {
		return err
	}
	changed, ok := f.state.changed(s)
	if ok && len(changed) == 0 {
		f.state.revision, f.state.head = s.revision, s.revision
		f.checked(same)
		return nil
	}
	if ok {
		s.changes = f.state.changes
		for _, key := range changed {
			s.changes.add(key)
		}
	}
	s.head = s.revision
	f.state, f.unshown, f.held = s, true, 0
	return nil
}

// follow takes in what the watches bring, until one ends or a check fails.
func (f *feed) follow(ctx context.Context, events <-chan *batch) error {
	timer := time.NewTimer(jitter(f.client.every))
	defer timer.Stop()
	f.proof.begin()
	for {
		var b *batch
		var timed bool
		count, changed := f.client.streams.now()
		if count == f.streams {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case b = <-events:
				f.brought = max(f.brought, b.upTo())
			case <-changed:
			case <-timer.C:
				timed = true
			}
			count, _ = f.client.streams.now()
		}
		if timed && count == f.streams {
			if f.ask(ctx) {
				timer.Reset(min(callTimeout, f.client.every))
				continue
			}
			if wait := time.Until(f.rest); wait > 0 {
				timer.Reset(wait)
				continue
			}
		}
		if count != f.streams && f.told {
			return errReopen
		}
		// The check goes before the events: those from behind a new stream
		// must not be put upon a state that a restored etcd never had.
		owed := f.held > 0 && !timed // catchUp checks
		if owed {
			f.streams = count
		}
		if timed || count != f.streams {
			began := time.Now()
			if err := f.verify(ctx, timed && count == f.streams); err != nil {
				return err
			}
			f.publish(nil)
			if count != f.streams {
				f.proof.begin()
			}
			f.streams = count
			f.rest = time.Now().Add(restFactor * time.Since(began))
			timer.Reset(jitter(f.client.every))
			if err := f.review(); err != nil {
				return err
			}
		}
		if b == nil {
			continue
		}
		if b.err != nil {
			return b.err
		}
		if b.progress > 0 {
			if f.proved(b.progress) {
				timer.Reset(jitter(f.client.every))
				if err := f.review(); err != nil {
					return err
				}
			}
			continue
		}
		if err := f.take(ctx, b.events); err != nil {
			return err
		}
		f.publish(nil)
	}
}

// restFactor bounds what checks ask of etcd: a hundredth of the time at most,
// however many keys they have it walk over. (50,000 keys take it 15 ms.)
const restFactor = 100

// verify checks state while its watches are open: where it is time, or behind a new stream. There clientv3 resumes
// them behind what they have brought. An etcd that stands before that, as a restored one may, would have to write as
// much again before they bring anything, and they would skip all that.
func (f *feed) verify(ctx context.Context, timed bool) error {
	if timed {
		rests, err := f.client.rests(ctx, f.keys, f.state)
		if err != nil || rests {
			f.asked = false // etcd does not answer before it has written something
			return err
		}
		f.unproved()
	} else if f.state.bytes <= small {
		cluster := f.state.cluster
		if err := f.reread(ctx); err != nil {
			return err
		}
		if f.state.cluster != cluster || f.state.head < f.brought {
			return errReopen
		}
		return nil
	}
	v, err := f.client.check(ctx, f.keys, f.state)
	switch {
	case err != nil:
		return err
	case v == stale:
		return errResync
	case f.state.head < f.brought:
		return errReopen
	// Behind is normal for the moment that an event needs to arrive. The same
	// revision still behind after a whole interval means a dead watch.
	case v == behind && timed && f.lagging == f.state.revision:
		return errResync
	}
	f.checked(v)
	return nil
}

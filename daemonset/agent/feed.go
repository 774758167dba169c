package agent

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/source"
)

// feed follows the keys that one profile reads for some pods, and wakes their workers.
// Its goroutine is [feed.run], started and ended by the Agent.
type feed struct {
	key feedKey
	sub *source.Subscription

	mu       sync.Mutex
	workers  map[*worker]bool
	snapshot *source.Snapshot // the newest that has settled
	away     error            // why it may be old
	known    time.Time        // since when the snapshot is

	told  atomic.Bool // it has values, or it is known why not
	onErr func(error) // called after each change of away, with what it is now
}

func newFeed(key feedKey, sub *source.Subscription, onErr func(error)) *feed {
	f := &feed{key: key, sub: sub, workers: map[*worker]bool{}, known: time.Now(), onErr: onErr}
	f.snapshot, f.away = sub.Current()
	f.told.Store(f.snapshot != nil)
	return f
}

// current is what the workers apply, whatever wakes them: a resync in the middle
// of a quiet period must not apply what has not settled.
func (f *feed) current() (*source.Snapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.snapshot, f.away
}

func (f *feed) add(w *worker) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.workers[w] = true
	if f.snapshot != nil {
		w.stand.heard(f.snapshot.Revision(), f.known)
	}
}

// remove takes the worker out and says whether it was the last.
func (f *feed) remove(w *worker) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.workers, w)
	return len(f.workers) == 0
}

func (f *feed) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.sub.Changed():
		}
		// The first values, and etcd's coming and going, wait for nothing.
		newest, _ := f.sub.Current()
		shown, _ := f.current()
		if shown != nil && newest != shown && !settle(ctx, f.sub.Changed(), f.key.profile.Wait, f.key.profile.WaitMax) {
			return
		}
		f.show()
	}
}

// show gives the workers what is newest.
func (f *feed) show() {
	if away, changed := f.take(); changed {
		f.onErr(away)
	}
}

func (f *feed) take() (away error, changed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.snapshot
	was := f.away
	f.snapshot, f.away = f.sub.Current()
	f.told.Store(true)
	if f.snapshot != before {
		f.known = time.Now()
	}
	for w := range f.workers {
		if f.snapshot != before {
			w.stand.heard(f.snapshot.Revision(), f.known)
		}
		w.wake()
	}
	return f.away, reason(was) != reason(f.away)
}

// view is how the feed stands, for those who watch.
func (f *feed) view() daemonset.FeedView {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := daemonset.FeedView{Profile: f.key.profile.Name, Settled: f.told.Load(), Reason: reason(f.away)}
	if f.snapshot != nil {
		v.Revision, v.Known = f.snapshot.Revision(), f.known
	}
	return v
}

// settle waits until nothing has changed for quiet, but no longer than longest
// in all. With quiet 0 it returns at once: the first change goes through, and
// what comes while a worker is busy coalesces there. It returns false when ctx
// has ended.
func settle(ctx context.Context, changed <-chan struct{}, quiet, longest time.Duration) bool {
	if quiet <= 0 {
		return true
	}
	ceiling := time.NewTimer(max(longest, quiet))
	defer ceiling.Stop()
	still := time.NewTimer(quiet)
	defer still.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-changed:
			still.Reset(quiet)
		case <-still.C:
			return true
		case <-ceiling.C:
			return true
		}
	}
}

package agent

import (
	"context"
	"sync"
	"time"

	"github.com/podreload/podreload/daemonset/source"
	"github.com/podreload/podreload/daemonset/template"
)

// feed follows the keys that one profile reads for some pods, and wakes their workers.
// Its goroutine is [feed.run], started and ended by the Agent.
type feed struct {
	key feedKey
	sub *source.Subscription

	mu      sync.Mutex
	workers map[*worker]bool
	shown   shown
	best    int // the number of shown.best

	bound  *template.Bound // of any of the workers: its keys are those of all
	keeper *keeper
}

func newFeed(key feedKey, sub *source.Subscription, bound *template.Bound, k *keeper) *feed {
	f := &feed{key: key, sub: sub, workers: map[*worker]bool{}, bound: bound, keeper: k}
	f.shown.snapshot, f.shown.away = sub.Current()
	k.use(bound, 1)
	return f
}

// shown is what the workers of a feed apply.
type shown struct {
	snapshot *source.Snapshot // the newest that has settled
	number   int              // of the snapshot, in their order
	away     error            // why it may be old
	best     *source.Snapshot // the newest that led to a live configuration; nil before the first
}

// current is what the workers apply, whatever wakes them: a resync in the middle
// of a quiet period must not apply what has not settled.
func (f *feed) current() shown {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.shown
}

// good notes that what was shown has led to a live configuration.
func (f *feed) good(s shown) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.shown.best == nil || s.number > f.best { // else a slow worker comes with it late
		f.shown.best, f.best = s.snapshot, s.number
		f.keeper.keep(f.bound, s.snapshot)
	}
}

func (f *feed) add(w *worker) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.workers[w] = true
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
		before := f.current().snapshot
		if before != nil && newest != before && !settle(ctx, f.sub.Changed(), f.key.profile.Wait, f.key.profile.WaitMax) {
			return
		}
		f.show()
	}
}

// show gives the workers what is newest.
func (f *feed) show() {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.shown.snapshot
	if f.shown.snapshot, f.shown.away = f.sub.Current(); f.shown.snapshot != before {
		f.shown.number++
	}
	for w := range f.workers {
		w.wake()
	}
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

package agent

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/source"
	"github.com/podreload/podreload/daemonset/template"
)

// feed follows the keys that one profile reads for some pods, and wakes their workers.
// Its goroutine is [feed.run], started and ended by the Agent.
type feed struct {
	key   feedKey
	sub   *source.Subscription
	share time.Duration // this node's, of the profile's splay

	mu      sync.Mutex
	workers map[*worker]bool
	offer   offer
	best    int       // the number of offer.best
	known   time.Time // since when offer.snapshot is

	told  atomic.Bool // it has values, or it is known why not
	onErr func(error) // called after each change of what keeps it from etcd, with what does so now

	bound  *template.Bound // of any of the workers: its keys are those of all
	keeper *keeper
}

func newFeed(key feedKey, sub *source.Subscription, bound *template.Bound, k *keeper, onErr func(error)) *feed {
	f := &feed{key: key, sub: sub, workers: map[*worker]bool{}, known: time.Now(), onErr: onErr, bound: bound, keeper: k}
	f.offer.snapshot, f.offer.away = sub.Current()
	f.offer.rendering = &rendering{snapshot: f.offer.snapshot}
	f.told.Store(f.offer.snapshot != nil)
	k.use(bound, 1)
	return f
}

// offer is what the workers of a feed apply.
type offer struct {
	snapshot *source.Snapshot // the newest that has settled
	number   int              // of the snapshot, in their order
	away     error            // why it may be old
	best     *source.Snapshot // the newest that led to a live configuration; nil before the first
	earlier  *earlier         // what was such before there was this feed; nil with best

	rendering *rendering // of the snapshot
}

// current is what the workers apply, whatever wakes them: a resync in the middle
// of a quiet period must not apply what has not settled.
func (f *feed) current() offer {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.offer
}

// since is what a worker applies to a target that has a revision. Where that is newer than what has
// settled here a person has applied it, and it is not taken back: the target has the newest, or while etcd
// is away, and nothing newer is known, what it has.
func (f *feed) since(revision int64) offer {
	s := f.current()
	if s.snapshot == nil || revision <= s.snapshot.Revision() {
		return s
	}
	newest, away := f.sub.Current()
	switch {
	case newest != nil && newest.Revision() > s.snapshot.Revision():
		s.snapshot, s.rendering = newest, &rendering{snapshot: newest}
	case away != nil:
		s.snapshot, s.away = nil, away
	}
	return s
}

// good notes that what was shown has led to a live configuration.
func (f *feed) good(s offer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.offer.best == nil || s.number > f.best { // else a slow worker comes with it late
		f.offer.best, f.best, f.offer.earlier = s.snapshot, s.number, nil
		f.keeper.keep(f.bound, s.snapshot)
	}
}

func (f *feed) add(w *worker) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.workers[w] = true
	if f.offer.snapshot != nil {
		w.stand.heard(f.offer.snapshot.Revision(), f.known)
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
		before := f.current().snapshot
		if before != nil && newest != before {
			f.showAway()
			if !f.hold(ctx) {
				return
			}
		}
		f.show()
	}
}

// hold waits until a change is complete, and until it is this node's turn; what comes meanwhile goes along,
// and has its own quiet time. It returns false when ctx has ended.
func (f *feed) hold(ctx context.Context) bool {
	p, more := f.key.profile, false
	settled := func() bool { return settle(ctx, f.sub.Changed(), p.Wait, p.WaitMax, f.showAway) }
	return settled() && splay(ctx, f.sub.Changed(), f.share, func() { more = true; f.showAway() }) && (!more || settled())
}

// show gives the workers what is newest.
func (f *feed) show() { f.take(true) }

// showAway gives the workers only why what they have may be old.
func (f *feed) showAway() { f.take(false) }

func (f *feed) take(values bool) {
	if away, changed := f.offerNewest(values); changed {
		f.onErr(away)
	}
}

func (f *feed) offerNewest(values bool) (away error, changed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before, was := f.offer.snapshot, f.offer.away
	f.offer.snapshot, f.offer.away = f.sub.Current()
	changed = reason(was) != reason(f.offer.away)
	if !values {
		f.offer.snapshot = before
		if !changed {
			return f.offer.away, false
		}
	}
	f.told.Store(true)
	if f.offer.snapshot != before {
		f.offer.number++
		f.offer.rendering = f.offer.rendering.next(f.offer.snapshot)
		f.known = time.Now()
	}
	for w := range f.workers {
		if f.offer.snapshot != before {
			w.stand.heard(f.offer.snapshot.Revision(), f.known)
		}
		w.wake()
	}
	return f.offer.away, changed
}

// view is how the feed stands, for those who watch.
func (f *feed) view() daemonset.FeedView {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := daemonset.FeedView{Profile: f.key.profile.Name, Settled: f.told.Load(), Reason: reason(f.offer.away)}
	if f.offer.snapshot != nil {
		v.Revision, v.Known = f.offer.snapshot.Revision(), f.known
	}
	return v
}

// settle waits until nothing has changed for quiet, but no longer than longest
// in all. With quiet 0 it returns at once: the first change goes through, and
// what comes while a worker is busy coalesces there. Note is called at each change. It
// returns false when ctx has ended.
func settle(ctx context.Context, changed <-chan struct{}, quiet, longest time.Duration, note func()) bool {
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
			note()
			still.Reset(quiet)
		case <-still.C:
			return true
		case <-ceiling.C:
			return true
		}
	}
}

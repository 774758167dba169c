package source

import (
	"context"
	"math"
)

// resume begins with a snapshot that was kept. Nobody sees it before etcd has been
// asked: what is in place may be newer, and must not go back for a moment.
func (f *feed) resume(s *Snapshot) {
	if f.state = s.thaw(f.keys); f.state != nil {
		f.held = math.MaxInt64
	}
}

// thaw makes a state of the snapshot, which nobody else has; nil where it is not one of keys. They
// share the tree: two of a million keys would be felt.
func (s *Snapshot) thaw(keys []string) *state {
	if s == nil {
		return nil
	}
	out := newState()
	out.tree, out.cluster, out.revision = s.tree.Clone(), s.cluster, s.revision
	s.tree.Ascend(func(it item) bool {
		if !coveredBy(keys, it.key()) || out.added(it) != nil {
			out = nil
		}
		return out != nil
	})
	return out
}

// checked takes the verdict on a state that is not stale.
func (f *feed) checked(v verdict) {
	switch {
	case v == behind:
		f.lagging = f.state.revision
		f.held = min(f.held, f.state.head) // 0 stays
	case f.held > 0:
		f.lagging, f.held, f.unshown = 0, 0, true
	default:
		f.lagging = 0
	}
}

// catchUp shows what was held when the events have brought what was missing. Nothing of
// ours may have that very revision, so etcd is asked; and this is the check behind
// the new stream, which the feed owes.
func (f *feed) catchUp(ctx context.Context) error {
	if f.held == 0 {
		return nil
	}
	if err := f.verify(ctx, false); err != nil {
		return err
	}
	if f.held <= f.state.revision { // they change all the time
		f.held = 0
	}
	return nil
}

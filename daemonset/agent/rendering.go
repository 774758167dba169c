package agent

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/source"
	"github.com/podreload/podreload/daemonset/template"
)

// rendering is what one snapshot makes of a profile for all pods of a feed: the first that asks
// makes it, and the others take it, unless it asked something of the pod, the container or the
// clock. It is safe for concurrent use.
type rendering struct {
	snapshot *source.Snapshot

	mu    sync.Mutex
	state renderingState
	first chan struct{} // closed when the first has ended; nil before it begins
	files []daemonset.File
	err   error
}

type renderingState int

const (
	unknown renderingState = iota
	common                 // files and err are those of every pod
	various                // each pod has its own
)

// othersWait is how long a render is waited for that may be the common one. It can be kept by
// the container that it asks, and then each makes its own.
const othersWait = time.Second

// next is for the snapshot that follows: templates that have asked something ask again.
func (r *rendering) next(s *source.Snapshot) *rendering {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := &rendering{snapshot: s}
	if r.state == various {
		n.state = various
	}
	return n
}

// of answers with the common files, or calls render. While nobody knows whether they are
// common one renders and the others wait for a while.
func (r *rendering) of(wait time.Duration, render func() (*template.Rendered, error)) ([]daemonset.File, error) {
	r.mu.Lock()
	state, first := r.state, r.first
	if state == unknown && first == nil {
		r.first = make(chan struct{})
	}
	r.mu.Unlock()
	if state == various {
		return files(render())
	}
	if state == unknown && first == nil {
		return r.begin(render)
	}
	select {
	case <-first:
	case <-time.After(wait):
	}
	if all, err, ok := r.all(); ok {
		return all, err
	}
	return files(render())
}

// all are the common files, if they are known to be.
func (r *rendering) all() (all []daemonset.File, err error, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.files), r.err, r.state == common
}

// begin renders as the first.
func (r *rendering) begin(render func() (*template.Rendered, error)) ([]daemonset.File, error) {
	rendered, err := render()
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.first)
	switch failure, ok := errors.AsType[*template.RenderError](err); {
	case err != nil && (!ok || passes(err)):
		r.first = nil // it says nothing of the next
	case err == nil && rendered.Asked == template.Asked{}, ok && failure.Asked == template.Asked{}:
		r.state = common
		r.files, r.err = files(rendered, err)
		return slices.Clone(r.files), r.err
	default:
		r.state = various
	}
	return files(rendered, err)
}

// passes says whether a render may go well the next time, with the same values: its bounds
// are of the clock and of the memory of all, so a busy node meets them sooner.
func passes(err error) bool {
	return errors.Is(err, template.ErrTooLong) || errors.Is(err, template.ErrTooLarge)
}

func files(r *template.Rendered, err error) ([]daemonset.File, error) {
	if err != nil {
		return nil, err
	}
	return r.Files, nil
}

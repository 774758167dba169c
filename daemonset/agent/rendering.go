package agent

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/source"
	"github.com/podreload/podreload/daemonset/template"
)

// rendering is what one snapshot makes of a profile for all pods of a feed: the first that asks
// makes it, and the others take it, unless it asked something of the pod, the container or the
// clock. What an earlier snapshot came to and none of the changed keys concerns is not made again. It is
// safe for concurrent use.
type rendering struct {
	snapshot *source.Snapshot
	given    template.Parts                 // of earlier ones, as they hold for this
	made     atomic.Pointer[template.Parts] // of this

	mu    sync.Mutex
	state renderingState
	files []daemonset.File
	err   error
}

type renderingState int

const (
	unknown renderingState = iota
	common                 // files and err are those of every pod
	various                // each pod has its own
)

// next is that of the snapshot that follows.
func (r *rendering) next(s *source.Snapshot) *rendering {
	n := &rendering{snapshot: s}
	if changed, ok := s.Since(r.snapshot); ok {
		n.given = r.parts().For(s, changed)
	}
	return n
}

// of answers with the common files, or calls render. While nobody knows whether they are
// common one renders and the others wait, no longer than a template may take.
func (r *rendering) of(render func(template.Parts) (*template.Rendered, error)) ([]daemonset.File, error) {
	r.mu.Lock()
	if r.state == various {
		r.mu.Unlock()
		return files(render(r.parts()))
	}
	defer r.mu.Unlock()
	if r.state == common {
		return slices.Clone(r.files), r.err
	}
	rendered, err := render(r.given)
	if err == nil {
		r.made.Store(&rendered.Parts)
	}
	switch failure, ok := errors.AsType[*template.RenderError](err); {
	case err == nil && rendered.Asked == template.Asked{}, ok && failure.Asked == template.Asked{}:
		r.state = common
		r.files, r.err = files(rendered, err)
		return slices.Clone(r.files), r.err
	case err == nil || ok:
		r.state = various
	}
	return files(rendered, err)
}

// parts are what every pod's files have, as far as it is known.
func (r *rendering) parts() template.Parts {
	if made := r.made.Load(); made != nil {
		return *made
	}
	return r.given
}

func files(r *template.Rendered, err error) ([]daemonset.File, error) {
	if err != nil {
		return nil, err
	}
	return r.Files, nil
}

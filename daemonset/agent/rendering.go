package agent

import (
	"errors"
	"slices"
	"sync"

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
	files []daemonset.File
	err   error
}

type renderingState int

const (
	unknown renderingState = iota
	common                 // files and err are those of every pod
	various                // each pod has its own
)

// of answers with the common files, or calls render. While nobody knows whether they are
// common one renders and the others wait, no longer than a template may take.
func (r *rendering) of(render func() (*template.Rendered, error)) ([]daemonset.File, error) {
	r.mu.Lock()
	if r.state == various {
		r.mu.Unlock()
		return files(render())
	}
	defer r.mu.Unlock()
	if r.state == common {
		return slices.Clone(r.files), r.err
	}
	rendered, err := render()
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

func files(r *template.Rendered, err error) ([]daemonset.File, error) {
	if err != nil {
		return nil, err
	}
	return r.Files, nil
}

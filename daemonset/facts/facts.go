package facts

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/shim"
)

const (
	// maxAnswers is how many different questions one pass may ask.
	maxAnswers = 1024

	// lookupTimeout bounds one look-up, networkTimeout all of a pass together.
	lookupTimeout  = 5 * time.Second
	networkTimeout = 15 * time.Second
)

// Crosser carries a request inside; it is a [nsenter.Shim], or what waits for its turn to use one.
type Crosser interface {
	Cross(ctx context.Context, into, signal *nsenter.Process, request []byte) ([]byte, error)
}

// Facts answers questions about one container, for one pass. It is safe for concurrent use, and
// answers one at a time.
type Facts struct {
	ctx       context.Context // the pass's: templates have none to hand on
	crosser   Crosser
	init      *nsenter.Process
	container daemonset.Container

	mu      sync.Mutex
	answers map[string]answer
	network time.Duration // what is left of networkTimeout
}

type answer struct {
	value any
	err   error
}

// Of returns the facts of a container. Its first process, pinned, stays the caller's and must
// not be closed before the last question. When the context ends every question fails.
func Of(ctx context.Context, crosser Crosser, init *nsenter.Process, container daemonset.Container) *Facts {
	return &Facts{ctx: ctx, crosser: crosser, init: init, container: container, answers: make(map[string]answer), network: networkTimeout}
}

// ask answers a question once. The caller holds the lock.
func ask[T any](f *Facts, question string, look func() (T, error)) (T, error) {
	if a, ok := f.answers[question]; ok {
		return a.value.(T), a.err
	}
	var value T
	err := f.ctx.Err()
	switch {
	case err != nil:
	case len(f.answers) >= maxAnswers:
		err = fmt.Errorf("%w: a pass may ask %d", ErrTooMany, maxAnswers)
	default:
		value, err = look()
	}
	if err != nil {
		err = fmt.Errorf("%s in container %s: %w", question, f.container, err)
	}
	if len(f.answers) < maxAnswers {
		f.answers[question] = answer{value, err}
	}
	return value, err
}

// onNetwork has look use the network for no longer than a look-up may take.
func onNetwork[T any](f *Facts, look func(ctx context.Context) (T, error)) (T, error) {
	if f.network <= 0 {
		var none T
		return none, fmt.Errorf("%w: the look-ups of this pass have taken %s", ErrTooMany, networkTimeout)
	}
	ctx, cancel := context.WithTimeout(f.ctx, min(lookupTimeout, f.network))
	defer cancel()
	begun := time.Now()
	defer func() { f.network -= time.Since(begun) }()
	return look(ctx)
}

// cross asks one thing of the container's filesystem.
func (f *Facts) cross(req shim.Request) (shim.FileResult, error) {
	for _, r := range f.container.UIDMap {
		req.UIDMap = append(req.UIDMap, shim.IDMap(r))
	}
	for _, r := range f.container.GIDMap {
		req.GIDMap = append(req.GIDMap, shim.IDMap(r))
	}
	body, err := req.Encode()
	if err != nil {
		return shim.FileResult{}, err
	}
	reply, err := f.crosser.Cross(f.ctx, f.init, nil, body)
	if err != nil {
		return shim.FileResult{}, err
	}
	result, err := shim.DecodeResult(reply)
	if err == nil {
		err = result.Err()
	}
	if err != nil {
		return shim.FileResult{}, err
	}
	if len(result.Files) != 1 {
		return shim.FileResult{}, fmt.Errorf("%w: %d answers to one question", nsenter.ErrShim, len(result.Files))
	}
	return result.Files[0], nil
}

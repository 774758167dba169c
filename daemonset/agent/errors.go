package agent

import (
	"errors"
	"syscall"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/verify"
	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/shim"
)

// ErrNotVerified: the signal was sent, and the server was not seen to take it.
var ErrNotVerified = errors.New("the reload is not verified")

// stateError is an error with the state that it puts a target in.
type stateError struct {
	state daemonset.State
	err   error
}

func (e *stateError) Error() string { return e.err.Error() }
func (e *stateError) Unwrap() error { return e.err }

func failed(state daemonset.State, err error) error {
	return &stateError{state: state, err: err}
}

// StateOf is the state that err puts a target in: Failed unless it says
// otherwise.
func StateOf(err error) daemonset.State {
	if e, ok := errors.AsType[*stateError](err); ok {
		return e.state
	}
	return daemonset.Failed
}

// crossingState judges an error of the crossing itself.
func crossingState(err error) daemonset.State {
	switch {
	case errors.Is(err, nsenter.ErrGone):
		return daemonset.Waiting
	case errors.Is(err, nsenter.ErrKernel), errors.Is(err, nsenter.ErrPermission), errors.Is(err, nsenter.ErrNotContainer):
		return daemonset.Unsupported
	}
	return daemonset.Failed
}

// insideState judges what the shim met inside: a refusal of its own and a
// read-only filesystem are Unsupported, since only another pod spec mends them;
// the rest may pass.
func insideState(err *shim.Error) daemonset.State {
	if err.Errno == 0 || err.Errno == syscall.EROFS {
		return daemonset.Unsupported
	}
	return daemonset.Failed
}

// serverState judges what the look for the server came to.
func serverState(err error) daemonset.State {
	switch {
	case errors.Is(err, verify.ErrNoServer), errors.Is(err, verify.ErrGone):
		return daemonset.Waiting
	case errors.Is(err, verify.ErrAmbiguous):
		return daemonset.Ambiguous
	case errors.Is(err, verify.ErrUnprovable):
		return daemonset.Unsupported
	}
	return daemonset.Failed
}

package nsenter

import "errors"

// The ways in which a crossing can fail that a caller may want to tell apart.
// They come wrapped in an error that names the step and the process.
var (
	// ErrGone: the process has exited. Its pid may be another's by now.
	ErrGone = errors.New("the process is gone")

	// ErrDeadline: no answer in time. The shim was killed; what it had done
	// until then stays, so the files inside have to be looked at again.
	ErrDeadline = errors.New("no answer before the deadline")

	// ErrPermission: the agent lacks a capability, or hostPID.
	ErrPermission = errors.New("not permitted")

	// ErrKernel: the kernel lacks something that podreload cannot do without.
	ErrKernel = errors.New("the kernel is too old (5.10 or newer is needed)")

	// ErrNotContainer: the process has the node's own mount namespace.
	ErrNotContainer = errors.New("not a container's process")

	// ErrStuck: killed shims still hang in the kernel, one in this container or
	// too many in all, so that no further one is started.
	ErrStuck = errors.New("a shim hangs in a dead filesystem")

	// ErrShim: the shim ended without an answer, or with one that makes no sense.
	ErrShim = errors.New("the shim failed")
)

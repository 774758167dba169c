package nsenter

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/nsenter/frame"
)

// explain says what a crossing's failure means, and what to do about it.
func explain(f frame.Fault) error {
	join := f.Step == frame.StepJoin
	switch {
	case errors.Is(f, unix.ESRCH):
		return fmt.Errorf("%w: %w", ErrGone, f)
	case join && errors.Is(f, unix.EPERM):
		return fmt.Errorf("%w: %w", forbidden(), f)
	case join && errors.Is(f, unix.EINVAL):
		return fmt.Errorf("%w: the agent is not in the node's PID namespace; run it with hostPID: true: %w", ErrPermission, f)
	case errors.Is(f, unix.ENOSYS), errors.Is(f, unix.EBADF) && join: // setns of a pidfd is of Linux 5.8
		return fmt.Errorf("%w: %w", ErrKernel, f)
	}
	return fmt.Errorf("%w: %w", ErrShim, f)
}

// forbidden says why the kernel would not let this process in.
func forbidden() error {
	if f := probeCapabilities(); f.Err != nil {
		return fmt.Errorf("%w; %s", f.Err, f.Fix)
	}
	return fmt.Errorf("%w: the agent has the capabilities for it, so seccomp or a security module forbids it", ErrPermission)
}

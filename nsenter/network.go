package nsenter

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// errNoReturn is what InNetwork answers for a fn that ended its goroutine.
var errNoReturn = errors.New("the function did not return")

// InNetwork runs fn on a thread that is in the process's network namespace, and
// returns its error. A socket that fn makes belongs to that namespace for good, and can
// be used from anywhere afterwards. Whatever fn starts a goroutine for is not
// there: it must do its work itself, and look up no names by package net, which does so
// elsewhere. It has to bound its own time.
//
// The process may share the node's network; then that is where fn runs. The error
// is ErrGone when the process has exited, and ErrPermission without CAP_SYS_ADMIN.
func (p *Process) InNetwork(fn func() error) error {
	done := make(chan error, 1)
	go p.lend(fn, done)
	return <-done
}

// lend is the body of the goroutine whose thread goes there. It ends with the
// goroutine: a thread that was elsewhere is never handed to another goroutine, so there is no way
// back that could fail (runtime.LockOSThread).
func (p *Process) lend(fn func() error, done chan<- error) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// The main thread is never ended, and /proc/self/ns is what it is in: it is held
		// here, so that another goes.
		defer runtime.UnlockOSThread()
		other := make(chan error, 1)
		go p.lend(fn, other)
		done <- <-other
		return
	}
	err := errNoReturn
	defer func() { done <- err }() // also when fn calls runtime.Goexit
	if err = p.joinNetwork(); err == nil {
		err = errNoReturn
		err = fn()
	}
}

func (p *Process) joinNetwork() error {
	err := control(p.pidfd, func(fd int) error { return unix.Setns(fd, unix.CLONE_NEWNET) })
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ESRCH): // a zombie has no namespaces
		err = ErrGone
	case errors.Is(err, unix.EPERM):
		err = fmt.Errorf("%w: CAP_SYS_ADMIN is needed: %w", ErrPermission, err)
	case errors.Is(err, unix.EBADF), errors.Is(err, unix.EINVAL): // setns of a pidfd is of Linux 5.8
		err = fmt.Errorf("%w: %w", ErrKernel, err)
	}
	return fmt.Errorf("join the network of process %d: %w", p.pid, err)
}

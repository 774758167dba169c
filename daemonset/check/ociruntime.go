package check

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/nsenter"
)

// environment has nothing of the agent's. What a runtime looks up there are programs.
// It is a Go program that ends within milliseconds: to collect garbage, or to wake
// other processors for it, costs it time only.
var environment = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "GOGC=off", "GOMAXPROCS=1"}

// call is one run of an OCI runtime.
type call struct {
	args   []string // without the program's name
	output *os.File // standard output and error
	target string   // id of the container for which it is

	where func(f func() error) error // runs f in the mount namespace that is meant; nil: the node's
}

// run runs the OCI runtime and waits for its end. When the context ends first, it and the
// processes that it was making a container of are killed; the error is then the
// context's.
func (c *Checker) run(ctx context.Context, binary string, r call) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	attr := &syscall.ProcAttr{
		Dir:   "/",
		Env:   environment,
		Files: []uintptr{null.Fd(), r.output.Fd(), r.output.Fd()},
		// A session of its own: the terminal's ^C is for the agent. And it dies with the
		// agent, so that a Sweep meets no runtime that still makes something.
		Sys: &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL},
	}
	var exe string
	var done func()
	if err := c.node.do(func() (err error) { exe, done, err = c.runtimes.program(binary); return err }); err != nil {
		return err
	}
	defer done()
	where := r.where
	if where == nil {
		where = c.node.do
	}
	return where(func() error {
		// Pdeathsig goes by the thread, which therefore stays until the end.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		pid, err := syscall.ForkExec(exe, append([]string{"runc"}, r.args...), attr) // returns when it is executed
		if err != nil {
			return fmt.Errorf("start the OCI runtime %s: %w", binary, err)
		}
		return c.await(ctx, pid, r.target)
	})
}

// await waits for an OCI runtime. Until it is reaped nobody else can have its pid, or its
// group's.
func (c *Checker) await(ctx context.Context, pid int, target string) error {
	p, err := nsenter.Pin(pid)
	if err == nil {
		err = p.Wait(ctx)
		p.Close()
	}
	if err != nil && !errors.Is(err, nsenter.ErrGone) { // gone: it had ended before it was looked at
		c.abandon(pid, target)
		return err
	}
	status, err := c.reap(pid)
	c.reapGroup(pid)
	if err == nil && status.ExitStatus() != 0 {
		err = errExit
	}
	return err
}

// reapGroup collects what a runtime that has ended did not: when a container that it joins
// goes away under it, what it was making of itself is left to this process. Mostly
// there is nothing.
func (c *Checker) reapGroup(pid int) {
	for {
		switch ended, err := unix.Wait4(-pid, nil, unix.WNOHANG, nil); {
		case err == unix.EINTR, ended > 0:
		case err != nil:
			return // no more of them
		default: // they end, but have not yet
			c.behind.Go(func() { awaitGroup(pid) })
			return
		}
	}
}

func awaitGroup(pid int) {
	for {
		if _, err := unix.Wait4(-pid, nil, 0, nil); err != nil && err != unix.EINTR {
			return
		}
	}
}

// errExit: the OCI runtime failed; what it said is in its output.
var errExit = errors.New("the OCI runtime failed")

// reap collects a process that has ended.
func (c *Checker) reap(pid int) (unix.WaitStatus, error) {
	var status unix.WaitStatus
	var used unix.Rusage
	for {
		_, err := unix.Wait4(pid, &status, 0, &used)
		if err == unix.EINTR {
			continue
		}
		c.cpu.Add(used.Utime.Nano() + used.Stime.Nano())
		if err != nil {
			return status, fmt.Errorf("collect process %d: %w", pid, err)
		}
		return status, nil
	}
}

// abandon kills an OCI runtime and what it was making of itself, and leaves it to a
// goroutine to collect them: one may hang in a dead filesystem.
func (c *Checker) abandon(pid int, target string) {
	unix.Kill(-pid, unix.SIGKILL)
	over := c.hanging.add(target)
	c.behind.Go(func() {
		defer over()
		// The runtime itself first, which keeps the group's number from others. Its
		// children become ours when it ends.
		c.reap(pid)
		awaitGroup(pid)
	})
}

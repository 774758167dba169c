package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/nsenter"
)

const (
	// maxBinary is the largest OCI runtime in bytes that is sealed.
	maxBinary = 128 << 20

	// maxSealed is how many runtimes a node may have.
	maxSealed = 8

	// minFd is what a memfd's number is moved above: as low as the descriptors that a
	// child is given, it would be overwritten before the child can exec it.
	minFd = 100
)

// ociRuntimes are OCI runtimes in memory, each copied there once. It is not only
// that nobody can change what is run: runc copies itself for each container it
// makes unless it runs from a memfd with exactly these seals, and that copy is a large
// part of the time it takes.
type ociRuntimes struct {
	mu     sync.Mutex
	sealed map[string]sealed
}

// sealed is a program and what its file was when it was copied.
type sealed struct {
	fd   int
	file os.FileInfo
}

// path returns what to execute for the OCI runtime at path.
func (o *ociRuntimes) path(path string) (string, error) {
	file, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("the container's OCI runtime: %w", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	s, ok := o.sealed[path]
	if ok && (!os.SameFile(s.file, file) || !s.file.ModTime().Equal(file.ModTime()) || s.file.Size() != file.Size()) {
		unix.Close(s.fd)
		delete(o.sealed, path)
		ok = false
	}
	if !ok {
		fd, err := seal(path)
		if err != nil || len(o.sealed) >= maxSealed {
			return path, nil // a script, or a node that executes nothing from memory
		}
		s = sealed{fd: fd, file: file}
		o.sealed[path] = s
	}
	return "/proc/self/fd/" + strconv.Itoa(s.fd), nil
}

func (o *ociRuntimes) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range o.sealed {
		unix.Close(s.fd)
	}
	clear(o.sealed)
}

// seal copies a program into memory.
func seal(path string) (int, error) {
	from, err := os.Open(path)
	if err != nil {
		return -1, err
	}
	defer from.Close()
	var magic [4]byte
	if _, err := io.ReadFull(from, magic[:]); err != nil || string(magic[:]) != "\x7fELF" {
		return -1, errors.New("no program for this kernel")
	}
	if _, err := from.Seek(0, io.SeekStart); err != nil {
		return -1, err
	}
	// MFD_EXEC is of Linux 6.3; where it is not known a memfd is executable anyway.
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate("podreload-runtime", flags|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate("podreload-runtime", flags)
	}
	if err != nil {
		return -1, err
	}
	to := os.NewFile(uintptr(fd), "podreload-runtime")
	defer to.Close()
	if n, err := io.Copy(to, io.LimitReader(from, maxBinary+1)); err != nil || n > maxBinary {
		return -1, errors.Join(err, errors.New("too large"))
	}
	// These and no others (F_SEAL_EXEC) are what runc looks for.
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(to.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return -1, err
	}
	return unix.FcntlInt(to.Fd(), unix.F_DUPFD_CLOEXEC, minFd)
}

// call is one run of an OCI runtime.
type call struct {
	args   []string // without the program's name
	output *os.File // standard output and error
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
		Dir: "/",
		// Nothing of the agent's environment: all that a runtime looks up are programs.
		Env:   []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		Files: []uintptr{null.Fd(), r.output.Fd(), r.output.Fd()},
		// A session of its own: the terminal's ^C is for the agent. And it dies with the
		// agent, so that a Sweep meets no runtime that still makes something.
		Sys: &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL},
	}
	return c.node.do(func() error {
		// Pdeathsig goes by the thread, which therefore stays until the end.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		exe, err := c.runtimes.path(binary)
		if err != nil {
			return err
		}
		pid, err := syscall.ForkExec(exe, append([]string{"runc"}, r.args...), attr)
		if err != nil {
			return fmt.Errorf("start the OCI runtime %s: %w", binary, err)
		}
		return c.await(ctx, pid)
	})
}

// await waits for an OCI runtime. Until it is reaped nobody else can have its pid, or its
// group's.
func (c *Checker) await(ctx context.Context, pid int) error {
	p, err := nsenter.Pin(pid)
	if err == nil {
		err = p.Wait(ctx)
		p.Close()
	}
	if err != nil {
		c.abandon(pid)
		return err
	}
	status, err := c.reap(pid)
	if err == nil && status.ExitStatus() != 0 {
		err = errExit
	}
	return err
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
func (c *Checker) abandon(pid int) {
	unix.Kill(-pid, unix.SIGKILL)
	c.behind.Go(func() {
		// The runtime itself first, which keeps the group's number from others. Its
		// children become ours when it ends.
		c.reap(pid)
		for {
			if _, err := unix.Wait4(-pid, nil, 0, nil); err != nil && err != unix.EINTR {
				return // no more of them
			}
		}
	})
}

// reapTimeout bounds the wait for killed processes where somebody waits for it.
const reapTimeout = 5 * time.Second

package nsenter

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process is one process, pinned: as long as it is not closed it means that
// process and never one that got the same pid later. The caller closes it.
type Process struct {
	pid    int
	start  uint64
	parent int
	pidfd  *os.File // non-blocking, so that waiting for its end takes no thread
}

// Pin pins the process that has the given pid now. The identity (pid and start
// time) is read after the pidfd was opened and believed only if the process has
// not exited by then, since until it has, nobody else can have its pid:
// pidfd_open(2). The error is ErrGone when there is no such process, and
// ErrKernel without pidfd_open.
func Pin(pid int) (*Process, error) {
	// PIDFD_NONBLOCK is of Linux 5.10.
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	switch {
	case errors.Is(err, unix.ESRCH):
		return nil, fmt.Errorf("pin process %d: %w", pid, ErrGone)
	case errors.Is(err, unix.EINVAL) && pid > 0:
		return nil, fmt.Errorf("pin process %d: it is a thread, or %w: %w", pid, ErrKernel, err)
	case errors.Is(err, unix.ENOSYS):
		return nil, fmt.Errorf("pin process %d: %w: %w", pid, ErrKernel, err)
	case err != nil:
		return nil, fmt.Errorf("pin process %d: pidfd_open: %w", pid, err)
	}
	p := &Process{pid: pid, pidfd: os.NewFile(uintptr(fd), "pidfd")}
	st, err := readStat(pid)
	if err == nil {
		err = p.Alive()
	}
	if err != nil {
		p.Close()
		return nil, fmt.Errorf("pin process %d: %w", pid, err)
	}
	p.start, p.parent = st.start, st.ppid
	return p, nil
}

// PinStarted pins the process that has the given pid, if it is the one that started at that
// time: a pid from a list that is not of this moment may be another's by now. The error is
// ErrGone then.
func PinStarted(pid int, start uint64) (*Process, error) {
	p, err := Pin(pid)
	if err != nil {
		return nil, err
	}
	if p.start != start {
		p.Close()
		return nil, fmt.Errorf("pin process %d: %w: another has its number by now", pid, ErrGone)
	}
	return p, nil
}

// StartTime is what [Process.StartTime] is of the process that has the pid now.
func StartTime(pid int) (uint64, error) {
	st, err := readStat(pid)
	if err != nil {
		return 0, fmt.Errorf("read /proc/%d: %w", pid, err)
	}
	return st.start, nil
}

// Pid is the process's number on the node.
func (p *Process) Pid() int { return p.pid }

// StartTime is when it started, in clock ticks since boot: field 22 of
// /proc/PID/stat. Pid and start time together name a process for good.
func (p *Process) StartTime() uint64 { return p.start }

// Parent is the number on the node of the process whose child it was when it was pinned.
func (p *Process) Parent() int { return p.parent }

// Alive is nil as long as the process runs and ErrGone once it has exited,
// also while it is a zombie: kill(pid, 0) would call that alive.
func (p *Process) Alive() error {
	var gone bool
	if err := control(p.pidfd, func(fd int) (err error) {
		gone, err = exited(fd)
		return err
	}); err != nil {
		return fmt.Errorf("look at process %d: %w", p.pid, err)
	}
	if gone {
		return fmt.Errorf("process %d: %w", p.pid, ErrGone)
	}
	return nil
}

// Info reads the node's /proc afresh. What it returns is proved to be of this
// process; if that has exited meanwhile the error is ErrGone.
func (p *Process) Info() (Info, error) {
	info, err := ReadInfo(p.pid)
	if alive := p.Alive(); alive != nil {
		return Info{}, alive
	}
	if err != nil {
		return Info{}, err
	}
	if info.StartTime != p.start {
		return Info{}, fmt.Errorf("process %d: %w", p.pid, ErrGone)
	}
	return info, nil
}

// Exe is what [Process.Info] has as Exe, without the rest.
func (p *Process) Exe() (string, error) {
	exe, err := readExe(p.pid)
	if alive := p.Alive(); alive != nil {
		return "", alive
	}
	if err != nil {
		return "", fmt.Errorf("read /proc/%d: %w", p.pid, err)
	}
	return exe, nil
}

// Signal signals the process from the node, and no successor of it. It is for what
// podreload itself has started: a container's server is signalled from inside
// ([Shim.Cross]). The error is ErrGone when the process has exited.
func (p *Process) Signal(sig syscall.Signal) error {
	err := control(p.pidfd, func(fd int) error { return unix.PidfdSendSignal(fd, sig, nil, 0) })
	switch {
	case errors.Is(err, unix.ESRCH):
		err = ErrGone
	case errors.Is(err, unix.EPERM):
		err = fmt.Errorf("%w: CAP_KILL is needed: %w", ErrPermission, err)
	}
	if err != nil {
		return fmt.Errorf("signal process %d: %w", p.pid, err)
	}
	return nil
}

// Wait returns nil once the process has exited, or the context's error. It
// waits for the event and holds no thread. One Wait at a time per Process.
func (p *Process) Wait(ctx context.Context) error {
	raw, err := p.pidfd.SyscallConn()
	if err != nil {
		return err
	}
	called := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		p.pidfd.SetReadDeadline(time.Unix(1, 0))
		close(called)
	})
	defer func() {
		if !stop() {
			<-called // or the next Wait would meet the deadline of this one
			p.pidfd.SetReadDeadline(time.Time{})
		}
	}()
	var gone bool
	var poll error
	err = raw.Read(func(fd uintptr) bool {
		gone, poll = exited(int(fd))
		return gone || poll != nil
	})
	switch {
	case gone:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case poll != nil:
		err = poll
	}
	return fmt.Errorf("wait for process %d: %w", p.pid, err)
}

// Close lets go of the process. It does nothing to it.
func (p *Process) Close() error { return p.pidfd.Close() }

// control runs f on a file's descriptor, which stays open meanwhile.
func control(file *os.File, f func(fd int) error) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// exited asks a pidfd, which is readable from the moment its process exits.
func exited(fd int) (bool, error) {
	set := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(set, 0)
		if err == syscall.EINTR {
			continue
		}
		return n > 0, err
	}
}

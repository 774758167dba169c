package nsenter

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/nsenter/frame"
)

const (
	// MaxDeadline is how long a crossing may take at most.
	MaxDeadline = 30 * time.Second

	// maxShims is how many shims there are at most, those included that were
	// killed and hang in the kernel.
	maxShims = 32

	// closeTimeout is how long Close waits for killed shims to go.
	closeTimeout = 2 * time.Second
)

// Shim is the sealed binary that crosses. It is safe for concurrent use.
type Shim struct {
	fd     int           // the sealed memfd
	node   []uint64      // mount namespaces that no container has
	slots  chan struct{} // one taken for each shim process that is not reaped
	reaper sync.WaitGroup
}

// Cross carries a request into the mount and PID namespace of a process, and a
// reply back. If signal is not nil the request's handler inside can signal
// that process, and no other.
//
// It starts one shim process, which ends before or soon after Cross returns. At the
// context's deadline, or after MaxDeadline, it is killed and the error is
// ErrDeadline (the context's error, if it was cancelled): Cross returns in time
// though the shim may hang in a dead filesystem until the kernel lets go of it.
// ErrGone: a process has exited. ErrPermission: a capability is missing.
// ErrNotContainer: the process to enter is the node's.
func (s *Shim) Cross(ctx context.Context, into, signal *Process, request []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, MaxDeadline)
	defer cancel()
	reply, err := s.cross(ctx, into, signal, request)
	if err != nil {
		return nil, fmt.Errorf("cross into process %d: %w", into.pid, err)
	}
	return reply, nil
}

func (s *Shim) cross(ctx context.Context, into, signal *Process, request []byte) ([]byte, error) {
	if err := s.admit(into); err != nil {
		return nil, err
	}
	if signal != nil {
		if err := signal.Alive(); err != nil {
			return nil, err
		}
	}
	r, err := s.start(ctx)
	if err != nil {
		return nil, err
	}
	defer r.socket.Close() // which ends the shim, if it has not ended
	stop := context.AfterFunc(ctx, r.kill)
	reply, err := r.exchange(into, signal, request)
	late := !stop()
	switch {
	case err == nil:
		return reply, nil
	case late:
		return nil, overdue(ctx)
	}
	r.kill()
	return nil, err
}

// admit proves that the process is there and is not the node's: to write into the
// node's own files is the one mistake that must not be possible.
func (s *Shim) admit(into *Process) error {
	dir, err := openProc(into.pid)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	link, err := linkAt(dir, "ns/mnt")
	if err != nil {
		return err
	}
	if err := into.Alive(); err != nil { // so what was read is its own
		return err
	}
	if ns := parseNamespace(link); ns == 0 || slices.Contains(s.node, ns) {
		return fmt.Errorf("%w: it has the node's own mount namespace, as the processes of Kata's and gVisor's sandboxes have", ErrNotContainer)
	}
	return nil
}

// running is a shim that was started and waits for its one request.
type running struct {
	process *os.Process
	socket  *os.File
}

// start starts a shim in the node's PID namespace: nothing of the agent's
// environment, directory, terminal or descriptors goes with it but one end of a
// socket, as descriptor 0.
func (s *Shim) start(ctx context.Context) (*running, error) {
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		if len(s.slots) < maxShims {
			return nil, overdue(ctx)
		}
		return nil, fmt.Errorf("start the shim: %w (%d): look for processes podreload-shim in state D", ErrStuck, maxShims)
	}
	r, err := s.spawn()
	if err != nil {
		<-s.slots
		return nil, fmt.Errorf("start the shim: %w", err)
	}
	s.reaper.Go(func() {
		r.reap()
		<-s.slots
	})
	return r, nil
}

// reap waits for the shim's end. The child that signals may be left then: a
// container can stop it before its first instruction. As long as the shim is not
// reaped the number of its process group cannot be another's.
func (r *running) reap() {
	for unix.Waitid(unix.P_PID, r.process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	unix.Kill(-r.process.Pid, unix.SIGKILL)
	r.process.Wait()
}

func (s *Shim) spawn() (*running, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socketpair: %w", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "shim")
	defer theirs.Close()
	if err := unix.SetNonblock(pair[0], true); err != nil { // ours only: so it takes deadlines
		unix.Close(pair[0])
		return nil, err
	}
	ours := os.NewFile(uintptr(pair[0]), "shim")
	process, err := os.StartProcess(fmt.Sprintf("/proc/self/fd/%d", s.fd), []string{"podreload-shim"}, &os.ProcAttr{
		Dir:   "/",
		Env:   []string{},
		Files: []*os.File{theirs},
		// A session and a process group of its own: the terminal's ^C is for the
		// agent, which ends a shim in its own way. No Pdeathsig: it fires when the thread ends that
		// started the shim (golang/go#27505); the socket's end does that job.
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		ours.Close()
		return nil, err
	}
	return &running{process: process, socket: ours}, nil
}

// kill ends the shim, and whoever waits for its answer.
func (r *running) kill() {
	r.process.Kill()
	r.socket.SetDeadline(time.Unix(1, 0))
}

// exchange sends the request, with the processes attached, and reads the reply.
func (r *running) exchange(into, signal *Process, request []byte) ([]byte, error) {
	if len(request) > frame.MaxBody {
		return nil, fmt.Errorf("a request of %d bytes is too large", len(request))
	}
	if err := r.sendHeader(into, signal, len(request)); err != nil {
		return nil, fmt.Errorf("send the request: %w: %w", ErrShim, err)
	}
	if _, err := r.socket.Write(request); err != nil {
		return nil, fmt.Errorf("send the request: %w: %w", ErrShim, err)
	}
	kind, body, err := frame.Read(r.socket)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the reply: %w: %w", ErrShim, err)
	case kind == frame.Reply:
		return body, nil
	case kind == frame.Failure:
		fault, err := frame.DecodeFault(body)
		if err == nil {
			err = explain(fault)
		}
		return nil, err
	}
	return nil, fmt.Errorf("read the reply: %w: %w", ErrShim, frame.ErrMalformed)
}

func (r *running) sendHeader(into, signal *Process, size int) error {
	send := func(fds ...int) error {
		// The buffer of a new socket holds it: this does not block.
		return control(r.socket, func(fd int) error {
			return unix.Sendmsg(fd, frame.Header(frame.Request, size), unix.UnixRights(fds...), nil, unix.MSG_NOSIGNAL)
		})
	}
	return control(into.pidfd, func(into int) error {
		if signal == nil {
			return send(into)
		}
		return control(signal.pidfd, func(signal int) error { return send(into, signal) })
	})
}

func overdue(ctx context.Context) error {
	if err := ctx.Err(); errors.Is(err, context.Canceled) {
		return err
	}
	return ErrDeadline
}

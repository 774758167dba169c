package nsenter

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/nsenter/frame"
)

// running is a shim that was started and waits for its one request.
type running struct {
	process *os.Process
	socket  *os.File
	life    *os.File      // the kernel kills the shim, and all in its process group, when this is closed
	into    identity      // the process that it enters; nobody's before
	ended   chan struct{} // closed when it is reaped
}

// reap waits for the shim's end. The child that signals may be left then: a
// container can stop it before its first instruction. As long as the shim is not
// reaped the number of its process group cannot be another's, and as long as there
// is such a child, neither: the kernel keeps a number that a group still has.
//
// Whose the child is now depends: init's, or this process's if it is a subreaper
// (PR_SET_CHILD_SUBREAPER), which then has to reap it. Should the number be free and
// taken again before the last look, then by another shim, and what is taken from
// that one's reap is no more than the notice that it has ended. Left is called if something is left: a container may hold it.
func (r *running) reap(left func()) {
	group := -r.process.Pid
	for unix.Waitid(unix.P_PID, r.process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	unix.Kill(group, unix.SIGKILL)
	r.process.Wait()
	r.life.Close()
	for flags := unix.WALL | unix.WNOHANG; ; {
		pid, err := unix.Wait4(group, nil, flags, nil)
		if err != nil && err != unix.EINTR { // ECHILD: no more
			break
		}
		if err == nil && pid == 0 {
			left()
			flags = unix.WALL
		}
	}
	close(r.ended)
}

// shimEnv has Go's runtime run one goroutine at a time: those of a shim take turns, and the runtime then
// starts no thread to look for work that there never is, an eighth of a crossing's processor time.
var shimEnv = []string{"GOMAXPROCS=1"}

// spawn starts the binary in the node's PID namespace: nothing of the agent's
// environment, directory, terminal or descriptors goes with it but one end of a
// socket, as descriptor 0, and the end of a pipe, as descriptor 1.
func spawn(binary int) (*running, error) {
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
	until, life, err := os.Pipe()
	if err != nil {
		ours.Close()
		return nil, err
	}
	defer until.Close()
	process, err := os.StartProcess(fmt.Sprintf("/proc/self/fd/%d", binary), []string{"podreload-shim"}, &os.ProcAttr{
		Dir:   "/",
		Env:   shimEnv,
		Files: []*os.File{theirs, until},
		// A session and a process group of its own: the terminal's ^C is for the
		// agent, which ends a shim in its own way. No Pdeathsig: it fires when the thread ends that
		// started the shim (golang/go#27505); the pipe's end does that job.
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		ours.Close()
		life.Close()
		return nil, err
	}
	return &running{process: process, socket: ours, life: life, ended: make(chan struct{})}, nil
}

// hasEnded asks the socket, whose other end the kernel closes as the process
// exits: that it is reaped comes later.
func (r *running) hasEnded() bool {
	err := control(r.socket, func(fd int) error {
		_, _, err := unix.Recvfrom(fd, make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return err
	})
	return !errors.Is(err, unix.EAGAIN)
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
	if err := r.send(into, signal, request); err != nil {
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

// send sends it at once, as far as the socket's buffer takes it: who was woken by the
// header would wait for the body.
func (r *running) send(into, signal *Process, request []byte) error {
	header := frame.Header(frame.Request, len(request))
	var sent int
	attach := func(fds ...int) error {
		// The buffer of a new socket has room: this does not block.
		return control(r.socket, func(fd int) (err error) {
			sent, err = unix.SendmsgBuffers(fd, [][]byte{header, request}, unix.UnixRights(fds...), nil, unix.MSG_NOSIGNAL)
			return err
		})
	}
	err := control(into.pidfd, func(into int) error {
		if signal == nil {
			return attach(into)
		}
		return control(signal.pidfd, func(signal int) error { return attach(into, signal) })
	})
	if err == nil && sent < len(header) {
		err = io.ErrShortWrite
	}
	if rest := len(header) + len(request) - sent; err == nil && rest > 0 {
		_, err = r.socket.Write(request[len(request)-rest:])
	}
	return err
}

package inside

import (
	"errors"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/nsenter/frame"
)

// What is said of the main thread is what is seen of the process, and the messenger ends with the thread that it comes
// from. The main one ends last.
func init() { runtime.LockOSThread() }

// Handler does the request's work. It is called on a thread that is inside the
// container's mount namespace. root is a handle of the container's root, self
// one of the node's /proc/self/fd. Signal sends a signal to the process that
// came with the request; it closes every descriptor that was opened since, the
// two handles included, so it is the last thing that can be done.
type Handler func(root, self int, request []byte, signal func(sig int) error) (reply []byte)

// The descriptors that the shim is started with.
const (
	socket = 0 // to the agent
	life   = 1 // a pipe of which the agent has the other end
)

// Main serves the request that comes over descriptor 0. The process ends, whatever
// it is at, when the other end of descriptor 1 is closed.
func Main(handle Handler) {
	// Descriptor 2 is /dev/null, opened by Go's runtime. Above could be
	// what another part of the agent forgot to mark close-on-exec.
	unix.CloseRange(life+1, 1<<31-1, 0)
	if err := endWithAgent(); err != nil {
		os.Exit(1) // nobody there to be told
	}
	unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(unsafe.StringData("podreload-shim\x00"))), 0, 0, 0)

	prepare()
	m := newMessenger()
	// Whichever thread is woken by the request serves it: to wake the main one from there would
	// be a twentieth of a crossing, measured.
	runtime.UnlockOSThread()
	in, agent, err := receive()
	runtime.LockOSThread()
	if err != nil {
		os.Exit(1)
	}
	reply, err := in.cross(handle, m)
	kind := frame.Reply
	if fault := (frame.Fault{}); errors.As(err, &fault) {
		kind, reply = frame.Failure, fault.Encode()
	}
	if _, err := agent.Write(append(frame.Header(kind, len(reply)), reply...)); err != nil {
		os.Exit(1)
	}
	m.end()
	awaitClose(socket, -1) // what is left of the request in the socket would be an error to the agent before it has read the reply
}

// endWithAgent has the kernel kill the process group, the messenger and the child included, when the agent's end of the
// pipe closes, wherever the threads are then: fcntl(2), F_SETSIG. Nothing is ever written there: it would be taken for that.
func endWithAgent() error {
	if _, err := unix.FcntlInt(life, unix.F_SETOWN, -os.Getpid()); err != nil {
		return err
	}
	if _, err := unix.FcntlInt(life, unix.F_SETSIG, int(unix.SIGKILL)); err != nil {
		return err
	}
	if _, err := unix.FcntlInt(life, unix.F_SETFL, unix.O_ASYNC); err != nil {
		return err
	}
	if awaitClose(life, 0) { // before that
		return unix.EPIPE
	}
	return nil
}

// awaitClose waits some milliseconds, or without an end, for the agent's end to close.
func awaitClose(fd int32, timeout int) bool {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: fd, Events: unix.POLLRDHUP}}, timeout)
		if !errors.Is(err, unix.EINTR) {
			return n > 0
		}
	}
}

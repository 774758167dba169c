package inside

import (
	"errors"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/nsenter/frame"
)

// Until the messenger has a thread of its own the main goroutine has this one: what is said of
// the main thread is what is seen of the process, and its descriptors are what /proc/self/fd lists.
func init() { runtime.LockOSThread() }

// Handler does the request's work. It is called on a thread that is inside the
// container's mount namespace. root is a handle of the container's root, self
// one of the node's /proc/self/fd. Signal sends a signal to the process that
// came with the request; it closes every descriptor that was opened since, the
// two handles included, so it is the last thing that can be done.
type Handler func(root, self int, request []byte, signal func(sig int) error) (reply []byte)

// socket is the one descriptor that the shim is started with.
const socket = 0

// Main serves the request that comes over descriptor 0. The process ends, whatever
// it is at, when the other end of the socket is closed.
func Main(handle Handler) {
	// Descriptors 1 and 2 are /dev/null, opened by Go's runtime. Above could be
	// what another part of the agent forgot to mark close-on-exec.
	unix.CloseRange(1, 1<<31-1, 0)
	unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(unsafe.StringData("podreload-shim\x00"))), 0, 0, 0)

	m, err := newMessenger()
	if err != nil {
		os.Exit(1) // nobody there to be told
	}
	go endWithAgent()
	prepare()

	<-m.stripped
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
	select {} // until the agent has read it
}

// endWithAgent waits for the other end of the socket to close. It has a thread to
// itself from the start: to get one later takes time.
func endWithAgent() {
	end := []unix.PollFd{{Fd: socket, Events: unix.POLLRDHUP}}
	for {
		if _, err := unix.Poll(end, -1); !errors.Is(err, unix.EINTR) {
			unix.Kill(0, unix.SIGKILL) // the process group: the child too, if there is one
		}
	}
}

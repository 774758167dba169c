package inside

import (
	"errors"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/nsenter/frame"
)

// The main thread is the one that crosses. Locked from here on, it runs the main
// goroutine and nothing else, and the runtime makes no thread from it.
func init() { runtime.LockOSThread() }

// Handler does the request's work. It is called on the main thread, inside the
// container's mount namespace. root is a handle of the container's root, self
// one of the node's /proc/self/fd. Signal sends a signal to the process that
// came with the request; it gives up every privilege, and every descriptor, the
// two handles included, so it is the last thing that can be done.
type Handler func(root, self int, request []byte, signal func(sig int) error) (reply []byte)

// socket is the one descriptor that the shim is started with.
const socket = 0

// Main serves the request that comes over descriptor 0 and ends the process. The
// process also ends, whatever it is at, when the other end of the socket is
// closed.
func Main(handle Handler) {
	// Descriptors 1 and 2 are /dev/null, opened by Go's runtime. Above could be
	// what another part of the agent forgot to mark close-on-exec.
	unix.CloseRange(1, 1<<31-1, 0)
	unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(unsafe.StringData("podreload-shim\x00"))), 0, 0, 0)

	forgetful()

	in, err := receive()
	if err != nil {
		os.Exit(1) // nobody there to be told
	}
	go func() {
		unix.Read(socket, make([]byte, 1))
		unix.Kill(0, unix.SIGKILL) // the process group: the child too, if there is one
	}()

	// From here on the main thread has its own descriptors. The socket stays
	// with the other threads, one of which answers.
	answer := make(chan []byte)
	go func() {
		b := <-answer
		for len(b) > 0 {
			n, err := unix.Write(socket, b)
			if err != nil && !errors.Is(err, unix.EINTR) {
				os.Exit(1)
			}
			b = b[max(n, 0):]
		}
		os.Exit(0)
	}()
	reply, err := in.cross(handle)
	kind := frame.Reply
	if fault := (frame.Fault{}); errors.As(err, &fault) {
		kind, reply = frame.Failure, fault.Encode()
	}
	answer <- append(frame.Header(kind, len(reply)), reply...)
	select {}
}

// request is what came over the socket.
type request struct {
	body         []byte
	into, signal int // pidfds; signal is -1 for none
}

// receive takes the one request. It blocks until there is one, which is what a
// shim that was started ahead does.
func receive() (request, error) {
	in := request{signal: -1}
	header := make([]byte, frame.HeaderSize)
	oob := make([]byte, unix.CmsgSpace(2*4))
	n, oobn, _, _, err := unix.Recvmsg(socket, header, oob, unix.MSG_CMSG_CLOEXEC|unix.MSG_WAITALL)
	if err != nil {
		return in, err
	}
	kind, size, err := frame.ParseHeader(header[:n])
	if err != nil || kind != frame.Request {
		return in, frame.ErrMalformed
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 {
		return in, frame.ErrMalformed
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) == 0 {
		return in, frame.ErrMalformed
	}
	if in.into = fds[0]; len(fds) > 1 {
		in.signal = fds[1]
	}
	in.body = make([]byte, size)
	for got := 0; got < size; {
		n, err := unix.Read(socket, in.body[got:])
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return in, err
		case n == 0:
			return in, frame.ErrMalformed
		}
		got += max(n, 0)
	}
	return in, nil
}

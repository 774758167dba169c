package inside

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/nsenter/frame"
)

// request is what came over the socket.
type request struct {
	body         []byte
	into, signal int // pidfds; signal is -1 for none
}

// atOnce is how much of a request is looked at together with its header, in bytes: most have less.
const atOnce = 16 << 10

// receive takes the one request. It blocks until there is one, which is what a
// shim that was started ahead does. It does so in the runtime's poller, not in a
// system call: a goroutine that comes out of one after long is taken for one that
// ran all the time, and stopped for the others' sake.
func receive() (request, *os.File, error) {
	in := request{signal: -1}
	if err := unix.SetNonblock(socket, true); err != nil {
		return in, nil, err
	}
	agent := os.NewFile(socket, "agent")
	first := make([]byte, frame.HeaderSize+atOnce)
	n, err := in.receiveFirst(agent, first)
	if err != nil {
		return in, nil, err
	}
	kind, size, err := frame.ParseHeader(first[:min(n, frame.HeaderSize)])
	if err != nil || kind != frame.Request || size < n-frame.HeaderSize {
		return in, nil, frame.ErrMalformed
	}
	if n < frame.HeaderSize+size {
		first = make([]byte, frame.HeaderSize+size) // nothing was taken yet
		if n, err = io.ReadFull(agent, first); err != nil {
			return in, nil, err
		}
	}
	in.body = first[frame.HeaderSize:n]
	return in, agent, nil
}

// receiveFirst looks at the beginning of the request, and takes the descriptors that come with
// it. What it sees stays in the socket (MSG_PEEK), for good if it is all: to take it out tells the agent's poller
// that there is room again, and wakes the agent for nothing, a twentieth of a crossing, measured.
func (in *request) receiveFirst(agent *os.File, first []byte) (n int, err error) {
	raw, err := agent.SyscallConn()
	if err != nil {
		return 0, err
	}
	oob := make([]byte, unix.CmsgSpace(2*4))
	var oobn int
	var failed error
	if err := raw.Read(func(fd uintptr) bool {
		n, oobn, _, _, failed = unix.Recvmsg(int(fd), first, oob, unix.MSG_CMSG_CLOEXEC|unix.MSG_PEEK)
		return !errors.Is(failed, unix.EAGAIN) && !errors.Is(failed, unix.EINTR)
	}); err != nil {
		return 0, err
	}
	if failed != nil {
		return 0, failed
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 {
		return 0, frame.ErrMalformed
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) == 0 {
		return 0, frame.ErrMalformed
	}
	if in.into = fds[0]; len(fds) > 1 {
		in.signal = fds[1]
	}
	return n, nil
}

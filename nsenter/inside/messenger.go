package inside

import (
	"runtime"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// messenger is the thread that has the child. It waits for its errand on a line
// of its own, a socket, over which the one that crosses sends it the signal's number and
// the two pidfds: its descriptor table holds nothing else.
type messenger struct {
	line int // the crossing thread's end

	stripped chan struct{} // closed when it waits for its errand
	born     atomic.Uint32 // not 0 when child and err are set; a futex
	child    int
	err      error
}

// The messenger's descriptors. The two that come with the errand get the lowest
// numbers that are free, and the filter knows them.
const (
	lineFd   = 0 // and then the pidfd to signal through
	intoFd   = 1
	signalFd = 2
)

// childNamespaces are all but the user namespace, in which the child would be under the container's root, and
// the time namespace, which no thread of several can join. Through the child's /proc/PID/net anyone in the container
// sees the network that it has: proc(5) asks for no permission there.
const childNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP

func newMessenger() (*messenger, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	m := &messenger{line: pair[0], stripped: make(chan struct{})}
	go func() {
		runtime.LockOSThread() // for good: nothing else is to run on what is left of this thread
		m.err = strip(pair[1])
		close(m.stripped)
		if m.err == nil {
			m.child, m.err = serve()
		}
		m.born.Store(1)
		futex(futexWake, &m.born, 1)
		for {
			futex(futexWait, &m.born, 1) // until the process ends
		}
	}()
	return m, nil
}

// send has the signal sent from inside. What the request opened is closed
// meanwhile: to let go of a file that was replaced can take the filesystem as long
// as all the rest.
//
// It is the crossing thread that waits for the child's end, and it does so in the kernel. A channel from
// one locked thread to another goes by way of a third, and each of them is woken on a processor that
// may be asleep: a tenth of a crossing without files, measured.
func (m *messenger) send(in request, sig int) error {
	if in.signal < 0 {
		return unix.ESRCH
	}
	if err := unix.Sendmsg(m.line, []byte{byte(sig)}, unix.UnixRights(in.into, in.signal), nil, unix.MSG_NOSIGNAL); err != nil {
		return err
	}
	unix.CloseRange(uint(in.into), 1<<31-1, 0) // it was the first; what is below is the runtime's
	for m.born.Load() == 0 {
		futex(futexWait, &m.born, 0)
	}
	if m.err != nil {
		return m.err
	}
	return outcome(m.child)
}

// strip leaves this thread, and so the child that will be cloned from it, with
// one end of the line and every signal blocked, and takes from it what system calls
// it will not need.
func strip(line int) error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_FILES); err != nil {
		return err
	}
	if err := keepOnly(line); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return err
	}
	// Go's handlers must not run in the child, which is no Go program any more.
	all := unix.Sigset_t{}
	for i := range all.Val {
		all.Val[i] = ^all.Val[i]
	}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, nil); err != nil {
		return err
	}
	// That of the process is its main thread's alone.
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	return confine()
}

// serve waits for the errand, which may never come, and answers whom it has sent.
func serve() (child int, err error) {
	sig := make([]byte, 1)
	oob := make([]byte, unix.CmsgSpace(2*4))
	n, _, _, _, err := unix.Recvmsg(lineFd, sig, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return 0, err
	}
	if n != len(sig) {
		return 0, unix.EPIPE
	}
	if err := unix.Setns(intoFd, childNamespaces); err != nil {
		return 0, err
	}
	if err := keepOnly(signalFd); err != nil {
		return 0, err
	}
	if err := unix.Capset(&killOnly.header, &killOnly.data[0]); err != nil {
		return 0, err
	}
	return signalInside(uintptr(sig[0]))
}

// killOnly is the child's one capability. It is a variable, so that the filter knows
// where it is.
var killOnly = struct {
	header unix.CapUserHeader
	data   [2]unix.CapUserData
}{
	header: unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3},
	data:   [2]unix.CapUserData{{Effective: 1 << unix.CAP_KILL, Permitted: 1 << unix.CAP_KILL}},
}

// keepOnly makes a descriptor number 0 and closes every other.
func keepOnly(fd int) error {
	if err := unix.Dup3(fd, 0, unix.O_CLOEXEC); err != nil {
		return err
	}
	return unix.CloseRange(1, 1<<31-1, 0)
}

// What is asked of a futex that no other process has: linux/futex.h.
const (
	futexWait = 0 | 1<<7
	futexWake = 1 | 1<<7
)

func futex(op uintptr, word *atomic.Uint32, value uintptr) {
	unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), op, value, 0, 0, 0)
}

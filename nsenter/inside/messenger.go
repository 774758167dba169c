package inside

import (
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// messenger is the thread that has the child. It waits for its errand on a line
// of its own, a socket, over which the one that crosses sends it the signal's number and
// the two pidfds: its descriptor table holds nothing else.
type messenger struct {
	line int // the crossing thread's end

	stripped chan struct{} // closed when all that takes its time is done
	err      error         // why that could not be done: set before it is closed

	born  atomic.Uint32 // not 0 when child and errno are set; a futex
	child int
	errno syscall.Errno
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
	errand.data.Base = &errand.signal[0]
	errand.data.SetLen(len(errand.signal))
	errand.header.Iov, errand.header.Control = &errand.data, (*byte)(unsafe.Pointer(&errand.control))
	errand.header.SetIovlen(1)
	errand.header.SetControllen(unix.CmsgSpace(2 * 4))
	go func() {
		runtime.LockOSThread() // for good: nothing else is to run on what is left of this thread
		filter, err := strip(pair[1])
		m.err = err
		close(m.stripped)
		if err == nil {
			m.serve(filter, uintptr(os.Getpagesize()))
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
	if m.err != nil {
		return m.err
	}
	if err := unix.Sendmsg(m.line, []byte{byte(sig)}, unix.UnixRights(in.into, in.signal), nil, unix.MSG_NOSIGNAL); err != nil {
		return err
	}
	unix.CloseRange(uint(in.into), 1<<31-1, 0) // it was the first; what is below is the runtime's
	for m.born.Load() == 0 {
		unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&m.born)), futexWait, 0, 0, 0, 0)
	}
	if m.errno != 0 {
		return m.errno
	}
	return outcome(m.child)
}

// strip leaves this thread, and so the child that will be cloned from it, with
// one end of the line and every signal blocked, and makes the filter that takes from it what system calls
// it will not need.
func strip(line int) (*unix.SockFprog, error) {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_FILES); err != nil {
		return nil, err
	}
	if err := unix.Dup3(line, lineFd, unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	if err := unix.CloseRange(lineFd+1, 1<<31-1, 0); err != nil {
		return nil, err
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return nil, err
	}
	// Go's handlers must not run in the child, which is no Go program any more.
	all := unix.Sigset_t{}
	for i := range all.Val {
		all.Val[i] = ^all.Val[i]
	}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, nil); err != nil {
		return nil, err
	}
	// That of the process is its main thread's alone.
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return nil, err
	}
	if err := withhold(unsafe.Pointer(&only), unsafe.Sizeof(only)); err != nil {
		return nil, err
	}
	return makeFilter(), nil
}

// serve is all that the thread does from there on. First it confines itself; then it waits for the errand, which
// may never come, and says whom it has sent. It does not return.
//
// Go's runtime must not come to need what the filter refuses, memory or another thread: it would end the
// process for that. It needs them where something is allocated, where a pointer is stored while it collects
// garbage, and where a function starts, which is where it makes the stack larger or smaller and lets others run. So all
// room is there before (errand, only), what is stored are numbers, and no function here starts that way
// (go:nosplit; those of package syscall are the same, and the linker sees to it that the stack is enough). The two calls
// that may take long let the runtime go on without this thread (Syscall6, not RawSyscall6). It comes back from
// the first of them alone, and for that takes no more than a turn.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (m *messenger) serve(filter *unix.SockFprog, page uintptr) {
	m.child, m.errno = deliver(filter, page)
	m.born.Store(1)
	syscall.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&m.born)), futexWake, 1, 0, 0, 0)
	for {
		syscall.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&m.born)), futexWait, 1, 0, 0, 0) // until the process ends
	}
}

// deliver confines the thread, takes the errand, and has the child send the signal: its outcome is the answer.
//
//go:nosplit
//go:norace
//go:nocheckptr
func deliver(filter *unix.SockFprog, page uintptr) (child int, errno syscall.Errno) {
	if filter != nil {
		// EINVAL: CONFIG_SECCOMP_FILTER.
		_, _, errno = syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(filter)), 0, 0, 0)
		if errno != 0 && errno != unix.EINVAL {
			return 0, errno
		}
	}
	n, _, errno := syscall.Syscall6(unix.SYS_RECVMSG, lineFd, uintptr(unsafe.Pointer(&errand.header)), unix.MSG_CMSG_CLOEXEC, 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	if n != uintptr(len(errand.signal)) {
		return 0, unix.EPIPE
	}
	if _, _, errno = syscall.RawSyscall6(unix.SYS_SETNS, intoFd, childNamespaces, 0, 0, 0, 0); errno != 0 {
		return 0, errno
	}
	if _, _, errno = syscall.RawSyscall6(unix.SYS_DUP3, signalFd, lineFd, unix.O_CLOEXEC, 0, 0, 0); errno != 0 {
		return 0, errno
	}
	if _, _, errno = syscall.RawSyscall6(unix.SYS_CLOSE_RANGE, lineFd+1, 1<<31-1, 0, 0, 0, 0); errno != 0 {
		return 0, errno
	}
	if _, _, errno = syscall.RawSyscall6(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&only.header)), uintptr(unsafe.Pointer(&only.kill)), 0, 0, 0, 0); errno != 0 {
		return 0, errno
	}
	pid, errno := cloneAndSignal(uintptr(errand.signal[0]), page)
	return int(pid), errno
}

// errand is what comes over the line, and the room for it.
var errand struct {
	header  unix.Msghdr
	data    unix.Iovec
	signal  [1]byte
	control [4]uint64 // the two pidfds, with their header of 16 bytes
}

// only is what the thread may give to the calls that could be abused, as variables, so that the filter knows
// where they are. They are not in the child's memory, and there is no call left to put anything in
// their place: what the filter has to allow for the child to be made is of no use to the child.
var only = struct {
	header unix.CapUserHeader
	kill   [2]unix.CapUserData // the child's one capability
	fork   [8]uint64           // struct clone_args, of Linux 5.3: a memory of its own, no namespaces, no signal at its end
}{
	header: unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3},
	kill:   [2]unix.CapUserData{{Effective: 1 << unix.CAP_KILL, Permitted: 1 << unix.CAP_KILL}},
}

// What is asked of a futex that no other process has: linux/futex.h.
const (
	futexWait = 0 | 1<<7
	futexWake = 1 | 1<<7
)

package inside

import (
	"errors"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ErrInterrupted: something killed the child that was to send the signal.
var ErrInterrupted = errors.New("a process in the container ended the one that was to send the signal")

// messenger is the process that has the child, cloned ahead, while nobody waits: see kit for what it is. It waits for its errand on a line
// of its own, a socket, over which the thread that crosses sends it the signal's number and the two pidfds.
type messenger struct {
	line  int // this process's end
	pidfd int
}

// newMessenger clones it. That wants the main thread, since the messenger ends with the thread that it comes from, and memory as prepare
// leaves it.
func newMessenger() (messenger, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return messenger{}, err
	}
	defer unix.Close(pair[1])
	k, err := newKit()
	if err != nil {
		return messenger{}, err
	}
	// Go's handlers must not run there, which is no Go program any more.
	var all, mask unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^all.Val[i]
	}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, &mask); err != nil {
		return messenger{}, err
	}
	errno := bear(k, uintptr(pair[1]), uintptr(os.Getpagesize()))
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &mask, nil); err != nil {
		return messenger{}, err
	}
	if errno != 0 {
		return messenger{}, errno
	}
	return messenger{line: pair[0], pidfd: int(k.messenger)}, nil
}

// send has the signal sent from inside. What the request opened is closed
// meanwhile: to let go of a file that was replaced can take the filesystem as long
// as all the rest.
func (m messenger) send(in request, sig int) error {
	if in.signal < 0 {
		return unix.ESRCH
	}
	// EPIPE: it has ended, and its end says why.
	if err := unix.Sendmsg(m.line, []byte{byte(sig)}, unix.UnixRights(in.into, in.signal), nil, unix.MSG_NOSIGNAL); err != nil && err != unix.EPIPE {
		return err
	}
	unix.CloseRange(uint(in.into), 1<<31-1, 0) // it was the first; what is below is the runtime's and the messenger's
	return outcome()
}

// outcome waits for what ends first, and how it ends is the answer: the messenger if it could not do its errand, else the child,
// which is this process's too (CLONE_PARENT). Whichever thread has cloned them, all may wait: wait(2). The runtime is not told (RawSyscall6): it
// would start a thread to go on without this one, with nothing to do.
func outcome() error {
	var status unix.WaitStatus
	for {
		_, _, errno := unix.RawSyscall6(unix.SYS_WAIT4, ^uintptr(0), uintptr(unsafe.Pointer(&status)), unix.WALL, 0, 0, 0)
		if errno == 0 {
			break
		}
		if errno != unix.EINTR {
			return errno
		}
	}
	switch {
	case !status.Exited():
		return ErrInterrupted
	case status.ExitStatus() != 0:
		return syscall.Errno(status.ExitStatus())
	}
	return nil
}

// end ends the messenger and reaps it, or that would be left to init. If it was reaped already nothing is done: its
// number may be another's, its pidfd is not.
func (m messenger) end() {
	if unix.PidfdSendSignal(m.pidfd, unix.SIGKILL, nil, 0) != nil {
		return
	}
	for unix.Waitid(unix.P_PIDFD, m.pidfd, nil, unix.WEXITED|unix.WALL, nil) == unix.EINTR {
	}
}

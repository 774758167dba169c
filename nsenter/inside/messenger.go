package inside

import (
	"errors"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

var (
	// ErrInterrupted: something killed the child that was to send the signal.
	ErrInterrupted = errors.New("a process in the container ended the one that was to send the signal")

	errMessenger = errors.New("the process that was to have the signal sent was ended, and by none in the container")
)

// messenger is the process that has the child, cloned ahead, while nobody waits: see kit for what it has. It waits for its errand on a line
// of its own, a socket, over which the thread that crosses sends it the signal's number and the two pidfds.
type messenger struct {
	pid, pidfd int
	line       int   // this process's end
	err        error // why there is none
}

// newMessenger clones it. That wants the main thread, since the messenger ends with the thread that it comes from, and memory as prepare
// leaves it.
func newMessenger() messenger {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return messenger{err: err}
	}
	defer unix.Close(pair[1])
	k, err := newKit(pair[1])
	if err != nil {
		return messenger{err: err}
	}
	// Go's handlers must not run there, which is no Go program any more.
	var all, mask unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^all.Val[i]
	}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, &mask); err != nil {
		return messenger{err: err}
	}
	pid, errno := bear(k, uintptr(os.Getpagesize()))
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &mask, nil); err != nil {
		return messenger{err: err}
	}
	if errno != 0 {
		return messenger{err: errno}
	}
	return messenger{pid: int(pid), pidfd: int(k.messenger), line: pair[0]}
}

// send has the signal sent from inside. What the request opened is closed
// meanwhile: to let go of a file that was replaced can take the filesystem as long
// as all the rest.
func (m messenger) send(in request, sig int) error {
	if in.signal < 0 {
		return unix.ESRCH
	}
	if m.err != nil {
		return m.err
	}
	// EPIPE: it has ended, and its end says why.
	if err := unix.Sendmsg(m.line, []byte{byte(sig)}, unix.UnixRights(in.into, in.signal), nil, unix.MSG_NOSIGNAL); err != nil && err != unix.EPIPE {
		return err
	}
	unix.CloseRange(uint(in.into), 1<<31-1, 0) // it was the first; what is below is the runtime's and the messenger's
	return m.outcome()
}

// outcome waits for the child, which is this process's too (CLONE_PARENT), and how it ends is the answer. If the messenger ends first, it could
// not do its errand, or was ended, or a container that has traced the child has it end: no answer is taken from it then, and all that
// it may have left is waited for.
func (m messenger) outcome() error {
	var failed error
	for {
		pid, err := anyEnded()
		if errors.Is(err, unix.ECHILD) && failed != nil {
			return failed
		}
		if err != nil {
			return err
		}
		if pid != m.pid {
			// Their user has the two processes as long as neither is reaped. Afterwards the messenger could have another child.
			unix.PidfdSendSignal(m.pidfd, unix.SIGKILL, nil, 0)
		}
		var status unix.WaitStatus
		if _, err := unix.Wait4(pid, &status, unix.WALL, nil); err != nil {
			return err
		}
		switch exited := status.Exited(); {
		case pid == m.pid && exited && status.ExitStatus() != 0:
			failed = syscall.Errno(status.ExitStatus())
		case pid == m.pid:
			failed = errMessenger
		case failed != nil:
		case !exited:
			return ErrInterrupted
		case status.ExitStatus() != 0:
			return syscall.Errno(status.ExitStatus())
		default:
			return nil
		}
	}
}

// anyEnded waits for any child to end, and leaves it to be reaped. Whichever thread has cloned them, all may wait: wait(2). The runtime is not
// told (RawSyscall6): it would start a thread to go on without this one, with nothing to do.
func anyEnded() (pid int, err error) {
	var info siginfo
	for {
		_, _, errno := unix.RawSyscall6(unix.SYS_WAITID, unix.P_ALL, 0, uintptr(unsafe.Pointer(&info)), unix.WEXITED|unix.WNOWAIT|unix.WALL, 0, 0)
		if errno == 0 {
			return int(info.pid), nil
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// siginfo is what waitid(2) tells: siginfo_t, of 128 bytes.
type siginfo struct {
	signo, errno, code, _, pid int32
	_                          [128 - 5*4]byte
}

// end ends the messenger and reaps it, or that would be left to init. If it was reaped already nothing is done: its
// number may be another's, its pidfd is not.
func (m messenger) end() {
	if m.err != nil || unix.PidfdSendSignal(m.pidfd, unix.SIGKILL, nil, 0) != nil {
		return
	}
	for unix.Waitid(unix.P_PIDFD, m.pidfd, nil, unix.WEXITED|unix.WALL, nil) == unix.EINTR {
	}
}

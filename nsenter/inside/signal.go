package inside

import (
	"errors"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ErrInterrupted: something inside killed the child that was to send the signal.
var ErrInterrupted = errors.New("a process in the container ended the one that was to send the signal")

// send gives up everything, then has a child send the signal from inside.
func (in request) send(sig int) error {
	if in.signal < 0 {
		return unix.ESRCH
	}
	if err := in.strip(); err != nil {
		return err
	}
	pid, errno := cloneAndSignal(uintptr(sig), uintptr(os.Getpagesize()))
	if errno != 0 {
		return errno
	}
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(int(pid), &status, unix.WALL, nil)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EINTR) {
			return err
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

// strip leaves the main thread, and so the child that is cloned from it, with the
// pidfd as descriptor 0, CAP_KILL, and every signal blocked.
func (in request) strip() error {
	if in.signal != 0 {
		if err := unix.Dup3(in.signal, 0, unix.O_CLOEXEC); err != nil {
			return err
		}
	}
	if err := unix.CloseRange(1, 1<<31-1, 0); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return err
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	kill := [2]unix.CapUserData{{Effective: 1 << unix.CAP_KILL, Permitted: 1 << unix.CAP_KILL}}
	if err := unix.Capset(&header, &kill[0]); err != nil {
		return err
	}
	runtime.KeepAlive(&kill)
	// Go's handlers must not run in the child, which is no Go program any more.
	all := unix.Sigset_t{}
	for i := range all.Val {
		all.Val[i] = ^all.Val[i]
	}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, nil); err != nil {
		return err
	}
	return confine()
}

// cloneAndSignal clones the one child that is born inside. After the clone it is
// a copy of this thread alone, in a process where Go's runtime does not run: it
// makes raw system calls, touches no memory but the stack around this frame
// (it has no other, see forgetful), allocates nothing, and never returns.
//
//go:noinline
//go:norace
//go:nocheckptr
func cloneAndSignal(sig, page uintptr) (pid uintptr, errno syscall.Errno) {
	// The frames of the calls are below this one, within a page.
	var here byte
	frame := uintptr(unsafe.Pointer(&here)) &^ (page - 1)
	syscall.RawSyscall(unix.SYS_MADVISE, frame-page, 3*page, unix.MADV_DOFORK)
	pid, _, errno = syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if pid != 0 || errno != 0 {
		return pid, errno
	}
	_, _, errno = syscall.RawSyscall6(unix.SYS_PIDFD_SEND_SIGNAL, 0, sig, 0, 0, 0, 0)
	for {
		syscall.RawSyscall6(unix.SYS_EXIT_GROUP, uintptr(errno), 0, 0, 0, 0, 0)
	}
}

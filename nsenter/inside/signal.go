package inside

import (
	"errors"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ErrInterrupted: something inside killed the child that was to send the signal.
var ErrInterrupted = errors.New("a process in the container ended the one that was to send the signal")

// outcome waits for the end of the child. Whichever thread has cloned it, all may: wait(2).
func outcome(child int) error {
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(child, &status, unix.WALL, nil)
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

// cloneAndSignal clones the one child that is born inside. After the clone it is
// a copy of this thread alone, in a process where Go's runtime does not run: it
// makes raw system calls, touches no memory but the stack around this frame
// (it has no other, see prepare), allocates nothing, and never returns. It ends
// without a SIGCHLD, which would only stop another thread at its work.
//
//go:noinline
//go:nosplit
//go:norace
//go:nocheckptr
func cloneAndSignal(sig, page uintptr) (pid uintptr, errno syscall.Errno) {
	// The frames of the calls are below this one, within a page.
	var here byte
	frame := uintptr(unsafe.Pointer(&here)) &^ (page - 1)
	syscall.RawSyscall6(unix.SYS_MADVISE, frame-page, 3*page, unix.MADV_DOFORK, 0, 0, 0)
	pid, _, errno = syscall.RawSyscall6(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&only.fork)), unsafe.Sizeof(only.fork), 0, 0, 0, 0)
	if pid != 0 || errno != 0 {
		return pid, errno
	}
	_, _, errno = syscall.RawSyscall6(unix.SYS_PIDFD_SEND_SIGNAL, 0, sig, 0, 0, 0, 0)
	for {
		syscall.RawSyscall6(unix.SYS_EXIT_GROUP, uintptr(errno), 0, 0, 0, 0, 0)
	}
}

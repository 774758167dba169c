package inside

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// All from here on is called in the messenger, a copy of one thread in a process where Go's runtime does not run. It
// makes raw system calls, touches no memory but the kit and the stack around the frame of bear
// (it has no other, see prepare), allocates nothing, and never returns. No function
// starts as Go's do, which is where the stack is made larger and others get to run (go:nosplit; those of package syscall are the same, and the
// linker sees to it that the stack is enough).

// bear clones the messenger, which confines itself, takes its errand, joins the namespaces, and has the child send the signal. It ends
// if it cannot.
//
//go:noinline
//go:nosplit
//go:norace
//go:nocheckptr
func bear(k *kit, page uintptr) (pid uintptr, errno syscall.Errno) {
	// The frames of the calls are below this one, within a page.
	var here byte
	frame := uintptr(unsafe.Pointer(&here)) &^ (page - 1)
	syscall.RawSyscall6(unix.SYS_MADVISE, frame-page, 3*page, unix.MADV_DOFORK, 0, 0, 0)
	pid, _, errno = syscall.RawSyscall6(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&k.birth)), unsafe.Sizeof(k.birth), 0, 0, 0, 0)
	if pid != 0 || errno != 0 {
		return pid, errno
	}
	for i := range k.confine {
		k.confine[i].makeOrEnd()
	}
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVMSG, lineFd, uintptr(unsafe.Pointer(&k.errand)), unix.MSG_CMSG_CLOEXEC, 0, 0, 0)
	if n != uintptr(len(k.signal)) { // there is no errand
		end(errno)
	}
	for i := range k.join {
		k.join[i].makeOrEnd()
	}
	signalByChild(childFlags, uintptr(k.signal[0]))
	return 0, 0 // not reached
}

// makeOrEnd makes the call, and ends the process with its errno if it fails.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (c *call) makeOrEnd() {
	if _, _, errno := syscall.RawSyscall6(c.nr, c.args[0], c.args[1], c.args[2], 0, 0, 0); errno != 0 {
		end(errno)
	}
}

//go:nosplit
//go:norace
//go:nocheckptr
func end(errno syscall.Errno) {
	for {
		syscall.RawSyscall6(unix.SYS_EXIT_GROUP, uintptr(errno), 0, 0, 0, 0, 0)
	}
}

// signalByChild clones the child, which sends the signal through descriptor 0 and ends with the errno. It does not come
// back: the messenger waits for its own end, and ends at once with an errno if there can be no child. In assembly, since what shares
// a stack must not touch it; so the child touches no memory but one page of the program.
func signalByChild(flags, signal uintptr)

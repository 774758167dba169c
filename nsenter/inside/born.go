package inside

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The messenger's descriptors. The two that come with the errand get the lowest
// numbers that are free, and the filter knows them.
const (
	lineFd   = 0 // and then the pidfd to signal through
	intoFd   = 1
	signalFd = 2
)

// childNamespaces are all but the user namespace, in which the child would be under the container's root, and
// the time namespace, of which nothing is asked. Through the child's /proc/PID/net anyone in the container
// sees the network that it has: proc(5) asks for no permission there.
const childNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP

// childFlags make a child of the shim's that shares the messenger's memory, and holds up the messenger until it ends.
const childFlags = unix.CLONE_VM | unix.CLONE_VFORK | unix.CLONE_PARENT

// All from here on is called in the messenger, a copy of one thread in a process where Go's runtime does not run. It
// makes raw system calls, touches no memory but the kit and the stack around the frame of bear
// (it has no other, see prepare), allocates nothing, and never returns. No function
// starts as Go's do, which is where the stack is made larger and others get to run (go:nosplit; those of package syscall are the same, and the
// linker sees to it that the stack is enough).

// bear clones the messenger.
//
//go:noinline
//go:nosplit
//go:norace
//go:nocheckptr
func bear(k *kit, line, page uintptr) (pid uintptr, errno syscall.Errno) {
	// The frames of the calls are below this one, within a page.
	var here byte
	frame := uintptr(unsafe.Pointer(&here)) &^ (page - 1)
	syscall.RawSyscall6(unix.SYS_MADVISE, frame-page, 3*page, unix.MADV_DOFORK, 0, 0, 0)
	pid, _, errno = syscall.RawSyscall6(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&k.birth)), unsafe.Sizeof(k.birth), 0, 0, 0, 0)
	if pid != 0 || errno != 0 {
		return pid, errno
	}
	if errno = confine(k, line); errno == 0 {
		errno = deliver(k)
	}
	for {
		syscall.RawSyscall6(unix.SYS_EXIT_GROUP, uintptr(errno), 0, 0, 0, 0, 0)
	}
}

// confine leaves the messenger, and so its child, with one end of the line, a user of its own who may have one process more, and
// what system calls it will need.
//
//go:nosplit
//go:norace
//go:nocheckptr
func confine(k *kit, line uintptr) (errno syscall.Errno) {
	if _, _, errno = syscall.RawSyscall6(unix.SYS_DUP3, line, lineFd, unix.O_CLOEXEC, 0, 0, 0); errno != 0 {
		return errno
	}
	if _, _, errno = syscall.RawSyscall6(unix.SYS_CLOSE_RANGE, lineFd+1, 1<<31-1, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	if _, _, errno = syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	if _, _, errno = syscall.RawSyscall6(unix.SYS_SETRESUID, k.user, k.user, k.user, 0, 0, 0); errno != 0 {
		return errno
	}
	// That has taken the ambient and the effective capabilities, and made it dumpable as fs.suid_dumpable says.
	if _, _, errno = syscall.RawSyscall6(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&k.self)), uintptr(unsafe.Pointer(&k.all)), 0, 0, 0, 0); errno != 0 {
		return errno
	}
	if _, _, errno = syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	if _, _, errno = syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0, 0); errno != 0 {
		return errno
	}
	if _, _, errno = syscall.RawSyscall6(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NPROC, uintptr(unsafe.Pointer(&k.processes)), 0, 0, 0); errno != 0 {
		return errno
	}
	_, _, errno = syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&k.filter)), 0, 0, 0)
	return errno
}

// deliver takes the errand, and has the child send the signal. It comes back if it cannot.
//
//go:nosplit
//go:norace
//go:nocheckptr
func deliver(k *kit) (errno syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVMSG, lineFd, uintptr(unsafe.Pointer(&k.errand)), unix.MSG_CMSG_CLOEXEC, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	if n != uintptr(len(k.signal)) {
		return unix.EPIPE // there is no errand
	}
	if _, _, errno = syscall.RawSyscall6(unix.SYS_SETNS, intoFd, childNamespaces, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	if _, _, errno = syscall.RawSyscall6(unix.SYS_DUP3, signalFd, lineFd, unix.O_CLOEXEC, 0, 0, 0); errno != 0 {
		return errno
	}
	if _, _, errno = syscall.RawSyscall6(unix.SYS_CLOSE_RANGE, lineFd+1, 1<<31-1, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	if _, _, errno = syscall.RawSyscall6(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&k.self)), uintptr(unsafe.Pointer(&k.kill)), 0, 0, 0, 0); errno != 0 {
		return errno
	}
	signalByChild(childFlags, uintptr(k.signal[0]))
	return 0 // not reached
}

// signalByChild clones the child, which sends the signal through descriptor 0 and ends with the errno. It does not come
// back: the messenger waits for its own end, and ends at once with an errno if there can be no child. In assembly, since what shares
// a stack must not touch it; so the child touches no memory but one page of the program.
func signalByChild(flags, signal uintptr)

package inside

import (
	"errors"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What the messenger, and so the child, may call: to take its errand, clone the
// child and signal in it, and what Go's runtime needs on a thread to say
// how that went. Anything else fails with EPERM, which the runtime takes where it
// matters to it (it ignores that a tgkill failed, for one).
var allowed = []uint32{
	unix.SYS_PIDFD_SEND_SIGNAL, unix.SYS_EXIT, unix.SYS_EXIT_GROUP, unix.SYS_CLOSE,
	unix.SYS_FUTEX, unix.SYS_MMAP, unix.SYS_MUNMAP, unix.SYS_MADVISE, unix.SYS_SCHED_YIELD, unix.SYS_NANOSLEEP,
	unix.SYS_CLOCK_GETTIME, unix.SYS_GETPID, unix.SYS_GETTID, unix.SYS_RESTART_SYSCALL,
	unix.SYS_RT_SIGRETURN, unix.SYS_RT_SIGPROCMASK, unix.SYS_SIGALTSTACK,
	unix.SYS_RECVMSG, unix.SYS_CLOSE_RANGE,
}

// What it may call with these first arguments only. The filter is loaded ahead, as
// that takes its time, so it has to let through what the messenger does between its
// errand and the clone. The child cannot follow it: it has no socket, and neither
// the capability to join namespaces nor, since it cannot duplicate the one that it
// has, a descriptor to do so; what capset reads it has not in its memory.
var allowedWith = map[uint32][]uint32{
	unix.SYS_DUP3:   {signalFd, 0},
	unix.SYS_SETNS:  {intoFd, childNamespaces},
	unix.SYS_CLONE:  {cloneFlags},
	unix.SYS_CAPSET: {uint32(uintptr(unsafe.Pointer(&killOnly.header))), uint32(uintptr(unsafe.Pointer(&killOnly.data)))},
}

// arch is what the kernel calls the architecture: linux/audit.h.
var arch = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}

// Offsets in struct seccomp_data: seccomp(2).
const (
	offsetNr   = 0
	offsetArch = 4
	offsetArgs = 16 // of 8 bytes each, the lower half first: both architectures are little endian
)

// confine takes every other system call from this thread. A container that
// may trace can make the child do what it likes, and the child has neither the
// container's seccomp profile nor its security module's: this is what is left to
// gain by it. It is a second fence: where the kernel or the architecture has no
// filters the child does without.
func confine() error {
	arch, ok := arch[runtime.GOARCH]
	if !ok {
		return nil
	}
	filter := []unix.SockFilter{
		load(offsetArch), equal(arch, 1), deny, // or the numbers mean something else
		load(offsetNr),
	}
	for _, nr := range allowed {
		filter = append(filter, unequal(nr, 1), allow)
	}
	for nr, args := range allowedWith {
		filter = append(filter, unequal(nr, uint8(3*len(args)+1)))
		for i, arg := range args {
			filter = append(filter, load(uint32(offsetArgs+8*i)), equal(arg, 1), deny)
		}
		filter = append(filter, allow)
	}
	filter = append(filter, deny)
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
	if errors.Is(err, unix.EINVAL) { // CONFIG_SECCOMP_FILTER
		return nil
	}
	return err
}

var (
	allow = unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}
	deny  = unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)}
)

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

// equal skips some instructions if the loaded value is k.
func equal(k uint32, skip uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jt: skip}
}

// unequal skips some instructions if it is not.
func unequal(k uint32, skip uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jf: skip}
}

package inside

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What the messenger, and so the child, may call: to take its errand, clone the
// child and signal in it, and what Go's runtime may need on a thread that comes back from a call that took
// long (see serve): to wait for its turn, and to wake who is next. Anything else fails with EPERM.
var allowed = []uint32{
	unix.SYS_PIDFD_SEND_SIGNAL, unix.SYS_EXIT_GROUP, unix.SYS_RECVMSG, unix.SYS_CLOSE_RANGE, unix.SYS_MADVISE,
	unix.SYS_FUTEX, unix.SYS_SCHED_YIELD, unix.SYS_NANOSLEEP, unix.SYS_CLOCK_GETTIME, unix.SYS_RESTART_SYSCALL,
}

// What it may call with these first arguments only. The filter has to let through what the messenger does between its
// errand and the clone, the clone included. The child cannot follow it: it has no socket, and neither
// the capability to join namespaces nor, since it cannot duplicate the one that it
// has, a descriptor to do so; and what capset and clone3 read it has not in its memory, nor mmap to put
// something there, or to fill the agent's memory with.
var allowedWith = map[uint32][]uintptr{
	unix.SYS_DUP3:   {signalFd, lineFd},
	unix.SYS_SETNS:  {intoFd, childNamespaces},
	unix.SYS_CAPSET: {uintptr(unsafe.Pointer(&only.header)), uintptr(unsafe.Pointer(&only.kill))},
	unix.SYS_CLONE3: {uintptr(unsafe.Pointer(&only.fork)), unsafe.Sizeof(only.fork)},
}

// arch is what the kernel calls the architecture: linux/audit.h.
var arch = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}

// Offsets in struct seccomp_data: seccomp(2).
const (
	offsetNr   = 0
	offsetArch = 4
	offsetArgs = 16 // of 8 bytes each, the lower half first: both architectures are little endian
)

// makeFilter makes what takes every other system call from a thread. A container that
// may trace can make the child do what it likes, and the child has neither the
// container's seccomp profile nor its security module's, and is in the agent's cgroup: this is what is left to
// gain by it. It is a second fence: where the kernel or the architecture has no
// filters the child does without.
func makeFilter() *unix.SockFprog {
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
		filter = append(filter, unequal(nr, uint8(6*len(args)+1)))
		for i, arg := range args {
			at := uint32(offsetArgs + 8*i)
			filter = append(filter, load(at), equal(uint32(arg), 1), deny, load(at+4), equal(uint32(uint64(arg)>>32), 1), deny)
		}
		filter = append(filter, allow)
	}
	filter = append(filter, deny)
	return &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
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

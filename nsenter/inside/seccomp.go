package inside

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// What the messenger and its child may call with any arguments. Anything else fails with EPERM, but what they may call with
// certain arguments only: what the messenger does between its
// errand and the clone (see kit), the clone included, has to be let through. The child cannot follow it: it has no socket, and neither
// the capability to join namespaces nor, since it cannot duplicate the one that it
// has, a descriptor to do so; and another process its user may not have, as long as none of the two is reaped (see outcome).
var allowed = []uint32{unix.SYS_PIDFD_SEND_SIGNAL, unix.SYS_EXIT_GROUP, unix.SYS_RECVMSG, unix.SYS_PPOLL, unix.SYS_RESTART_SYSCALL}

// maxRules is how many instructions the filter may have.
const maxRules = 128

// arch is what the kernel calls the architecture: linux/audit.h.
var arch = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}

// Offsets in struct seccomp_data: seccomp(2).
const (
	offsetNr   = 0
	offsetArch = 4
	offsetArgs = 16 // of 8 bytes each, the lower half first: both architectures are little endian
)

// makeRules makes what takes every other system call from the messenger. A container that
// may trace can make the child, and by the memory that they share the messenger, do what it likes, and they have neither the
// container's seccomp profile nor its security module's, and are in the agent's cgroup, and the messenger is in the node's
// PID namespace: this is what is left to gain by it. It has to be there: CONFIG_SECCOMP_FILTER.
func (k *kit) makeRules() []unix.SockFilter {
	rules := []unix.SockFilter{
		load(offsetArch), equal(arch[runtime.GOARCH], 1), deny, // or the numbers mean something else
		load(offsetNr),
	}
	for _, nr := range allowed {
		rules = append(rules, unequal(nr, 1), allow)
	}
	for _, c := range k.join {
		rules = append(rules, allowWith(uint32(c.nr), c.args[:]...)...)
	}
	rules = append(rules, allowWith(unix.SYS_CLONE, childFlags, 0, 0, 0, 0)...)
	return append(rules, deny)
}

// allowWith allows a call with these first arguments.
func allowWith(nr uint32, args ...uintptr) []unix.SockFilter {
	rules := []unix.SockFilter{unequal(nr, uint8(6*len(args)+1))}
	for i, arg := range args {
		at := uint32(offsetArgs + 8*i)
		rules = append(rules, load(at), equal(uint32(arg), 1), deny, load(at+4), equal(uint32(uint64(arg)>>32), 1), deny)
	}
	return append(rules, allow)
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

package inside

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The messenger's descriptors. The two that come with the errand get the lowest
// numbers that are free.
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

// kit is what the messenger has of this process's memory beside the program and a little of a stack. It is in a page that has nothing else.
type kit struct {
	birth     cloneArgs // of the messenger
	messenger int32     // its pidfd

	user      uintptr
	processes unix.Rlimit
	self      unix.CapUserHeader
	all       [2]unix.CapUserData // the capabilities that this process has
	kill      [2]unix.CapUserData // the child's one
	filter    unix.SockFprog
	rules     [maxRules]unix.SockFilter

	// confine leaves the messenger, and so its child, with one end of the line, a user of its own who may have one process more, and
	// what system calls it will need. join is what it does with its errand before it has the child.
	confine [9]call
	join    [4]call

	errand  unix.Msghdr // what comes over the line, and the room for it
	data    unix.Iovec
	signal  [1]byte
	control [4]uint64 // the two pidfds, with their header of 16 bytes
}

// call is a system call with its first arguments, where the others are 0.
type call struct {
	nr   uintptr
	args [3]uintptr
}

// cloneArgs is struct clone_args as of Linux 5.3: clone(2). All zero is a process with a memory of
// its own, and no signal at its end, which would only stop another thread at its work.
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls uint64
}

// nobodyElse chooses a user whom no other process has, nor is likely to have: who could guess it could be that user, and keep the messenger from
// having its child.
func nobodyElse() (uintptr, error) {
	var number uint32
	// Not unix.Getrandom, for which the runtime takes a page.
	n, _, errno := unix.RawSyscall(unix.SYS_GETRANDOM, uintptr(unsafe.Pointer(&number)), unsafe.Sizeof(number), 0)
	if errno != 0 || n != unsafe.Sizeof(number) {
		return 0, fmt.Errorf("no random number: %w", errno)
	}
	return uintptr(1<<31 | number>>2), nil // not the highest, which is no user
}

// newKit packs the kit of a messenger whose end of the line is that descriptor.
func newKit(line int) (*kit, error) {
	page, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_POPULATE)
	if err != nil {
		return nil, err
	}
	if len(page) < int(unsafe.Sizeof(kit{})) {
		return nil, unix.E2BIG
	}
	k := (*kit)(unsafe.Pointer(&page[0]))
	k.birth = cloneArgs{flags: unix.CLONE_PIDFD, pidfd: uint64(uintptr(unsafe.Pointer(&k.messenger)))}

	// The messenger and its child are the two processes that this user may have (RLIMIT_NPROC, which does not count for root):
	// the filter lets the clone through, and a child that is traced could go on with it. (Linux 5.14 to 5.16, but for their last, let it have
	// three: commit 8f2f9c4d82f2.)
	if k.user, err = nobodyElse(); err != nil {
		return nil, err
	}
	k.processes = unix.Rlimit{Cur: 2, Max: 2}
	k.self = unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capget(&k.self, &k.all[0]); err != nil {
		return nil, err
	}
	for i := range k.all {
		k.all[i].Inheritable = 0
	}
	k.kill[0] = unix.CapUserData{Effective: 1 << unix.CAP_KILL, Permitted: 1 << unix.CAP_KILL}

	const rest = 1<<31 - 1
	k.confine = [...]call{
		{unix.SYS_DUP3, [3]uintptr{uintptr(line), lineFd, unix.O_CLOEXEC}},
		{unix.SYS_CLOSE_RANGE, [3]uintptr{lineFd + 1, rest}},
		{unix.SYS_PRCTL, [3]uintptr{unix.PR_SET_KEEPCAPS, 1}},
		{unix.SYS_SETRESUID, [3]uintptr{k.user, k.user, k.user}},
		// That takes the ambient and the effective capabilities, and makes it dumpable as fs.suid_dumpable says.
		{unix.SYS_CAPSET, [3]uintptr{uintptr(unsafe.Pointer(&k.self)), uintptr(unsafe.Pointer(&k.all))}},
		{unix.SYS_PRCTL, [3]uintptr{unix.PR_SET_DUMPABLE, 0}},
		{unix.SYS_PRCTL, [3]uintptr{unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL)}},
		{unix.SYS_PRLIMIT64, [3]uintptr{0, unix.RLIMIT_NPROC, uintptr(unsafe.Pointer(&k.processes))}},
		{unix.SYS_PRCTL, [3]uintptr{unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&k.filter))}},
	}
	k.join = [...]call{
		{unix.SYS_SETNS, [3]uintptr{intoFd, childNamespaces}},
		{unix.SYS_DUP3, [3]uintptr{signalFd, lineFd, unix.O_CLOEXEC}},
		{unix.SYS_CLOSE_RANGE, [3]uintptr{lineFd + 1, rest}},
		{unix.SYS_CAPSET, [3]uintptr{uintptr(unsafe.Pointer(&k.self)), uintptr(unsafe.Pointer(&k.kill))}},
	}
	rules := k.makeRules()
	if len(rules) > maxRules {
		return nil, fmt.Errorf("the filter has %d rules", len(rules))
	}
	copy(k.rules[:], rules)
	k.filter = unix.SockFprog{Len: uint16(len(rules)), Filter: &k.rules[0]}

	k.data.Base = &k.signal[0]
	k.data.SetLen(len(k.signal))
	k.errand.Iov, k.errand.Control = &k.data, (*byte)(unsafe.Pointer(&k.control))
	k.errand.SetIovlen(1)
	k.errand.SetControllen(unix.CmsgSpace(2 * 4))
	return k, nil
}

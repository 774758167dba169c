package nsenter_test

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// A container that may trace makes the child call what it likes. What its own
// seccomp profile could forbid, the child's filter forbids. (Only here are the
// registers those of amd64; the filter is made the same way everywhere.)
func TestTracedChildCanOnlySignal(t *testing.T) {
	p := start(t, "quiet")
	runtime.LockOSThread() // ptrace(2): all requests of one tracer come from one thread
	defer runtime.UnlockOSThread()
	shim := trace(t, p, write(t, "/etc/x", ""))
	child := awaitBirth(t, shim)
	defer func() {
		unix.Kill(-shim, unix.SIGKILL)
		awaitStop(t, child)
	}()
	var born unix.PtraceRegs
	if err := unix.PtraceGetRegs(child, &born); err != nil {
		t.Fatal(err)
	}
	inject := func(nr, arg0 uintptr) unix.Errno {
		t.Helper()
		regs := born
		regs.Rip -= 2 // the syscall instruction that it was born in
		regs.Rax, regs.Orig_rax, regs.Rdi = uint64(nr), ^uint64(0), uint64(arg0)
		regs.Rsi, regs.Rdx, regs.R10, regs.R8, regs.R9 = 0, 0, 0, 0, 0
		if err := unix.PtraceSetRegs(child, &regs); err != nil {
			t.Fatal(err)
		}
		if err := unix.PtraceSingleStep(child); err != nil {
			t.Fatal(err)
		}
		if status := awaitStop(t, child); status.StopSignal() != unix.SIGTRAP {
			t.Fatalf("call %d: it did not come back: %#x", nr, status)
		}
		if err := unix.PtraceGetRegs(child, &regs); err != nil {
			t.Fatal(err)
		}
		return unix.Errno(-int64(regs.Rax))
	}
	// The injection works: this one is allowed, and fails for want of arguments.
	if errno := inject(unix.SYS_PIDFD_SEND_SIGNAL, ^uintptr(0)); errno != unix.EBADF {
		t.Errorf("pidfd_send_signal: %v, want EBADF", errno)
	}
	for name, call := range map[string][2]uintptr{
		"open": {unix.SYS_OPEN}, "openat": {unix.SYS_OPENAT}, "openat2": {unix.SYS_OPENAT2}, "execve": {unix.SYS_EXECVE}, "fork": {unix.SYS_FORK},
		"clone with a user namespace": {unix.SYS_CLONE, unix.CLONE_NEWUSER | uintptr(unix.SIGCHLD)}, "clone3": {unix.SYS_CLONE3},
		"unshare": {unix.SYS_UNSHARE, unix.CLONE_NEWUSER}, "setns": {unix.SYS_SETNS}, "mount": {unix.SYS_MOUNT}, "kill": {unix.SYS_KILL, uintptr(p.Pid())},
		"ptrace": {unix.SYS_PTRACE}, "bpf": {unix.SYS_BPF}, "keyctl": {unix.SYS_KEYCTL}, "socket": {unix.SYS_SOCKET, unix.AF_NETLINK},
		"io_uring_setup": {unix.SYS_IO_URING_SETUP}, "perf_event_open": {unix.SYS_PERF_EVENT_OPEN}, "userfaultfd": {unix.SYS_USERFAULTFD},
		"capset": {unix.SYS_CAPSET}, "prctl": {unix.SYS_PRCTL}, "pidfd_open": {unix.SYS_PIDFD_OPEN, 1}, "process_vm_writev": {unix.SYS_PROCESS_VM_WRITEV},
	} {
		if errno := inject(call[0], call[1]); errno != unix.EPERM {
			t.Errorf("%s: %v, want EPERM", name, errno)
		}
	}
}

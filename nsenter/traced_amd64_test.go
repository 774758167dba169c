package nsenter_test

import (
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// A container that may trace makes the child call what it likes. What its own
// seccomp profile could forbid, the child's filter forbids. (Only here are the
// registers those of amd64; the filter is made the same way everywhere.)
func TestTracedChildCanOnlySignal(t *testing.T) {
	c := catch(t)
	// The injection works: this one is allowed, and fails for want of arguments.
	if errno := c.call(unix.SYS_PIDFD_SEND_SIGNAL, ^uintptr(0)); errno != unix.EBADF {
		t.Errorf("pidfd_send_signal: %v, want EBADF", errno)
	}
	for name, call := range map[string][2]uintptr{
		"open": {unix.SYS_OPEN}, "openat": {unix.SYS_OPENAT}, "openat2": {unix.SYS_OPENAT2}, "execve": {unix.SYS_EXECVE}, "fork": {unix.SYS_FORK},
		"clone with a user namespace": {unix.SYS_CLONE, unix.CLONE_NEWUSER | uintptr(unix.SIGCHLD)}, "clone3": {unix.SYS_CLONE3},
		"unshare": {unix.SYS_UNSHARE, unix.CLONE_NEWUSER}, "setns": {unix.SYS_SETNS}, "mount": {unix.SYS_MOUNT}, "kill": {unix.SYS_KILL, uintptr(c.container)},
		"ptrace": {unix.SYS_PTRACE}, "bpf": {unix.SYS_BPF}, "keyctl": {unix.SYS_KEYCTL}, "socket": {unix.SYS_SOCKET, unix.AF_NETLINK},
		"io_uring_setup": {unix.SYS_IO_URING_SETUP}, "perf_event_open": {unix.SYS_PERF_EVENT_OPEN}, "userfaultfd": {unix.SYS_USERFAULTFD},
		"capset": {unix.SYS_CAPSET}, "prctl": {unix.SYS_PRCTL}, "pidfd_open": {unix.SYS_PIDFD_OPEN, 1}, "process_vm_writev": {unix.SYS_PROCESS_VM_WRITEV},
	} {
		if errno := c.call(call[0], call[1]); errno != unix.EPERM {
			t.Errorf("%s: %v, want EPERM", name, errno)
		}
	}
}

// The child is in the agent's cgroup, not in the container's. Whoever traces it can have it make no
// other of its kind, the way that it was made itself included, and take no memory.
func TestTracedChildMakesNoMore(t *testing.T) {
	c := catch(t)
	for name, call := range map[string][]uintptr{
		"clone": {unix.SYS_CLONE}, "clone as a thread": {unix.SYS_CLONE, unix.CLONE_VM | unix.CLONE_SIGHAND | unix.CLONE_THREAD}, "vfork": {unix.SYS_VFORK},
		"mmap": {unix.SYS_MMAP, 0, 64 << 20, unix.PROT_READ | unix.PROT_WRITE, unix.MAP_SHARED | unix.MAP_ANONYMOUS | unix.MAP_POPULATE, ^uintptr(0)},
		"brk":  {unix.SYS_BRK, 1 << 40}, "mremap": {unix.SYS_MREMAP, uintptr(c.born.Rsp) &^ 4095, 4096, 64 << 20, unix.MREMAP_MAYMOVE},
		"shmget": {unix.SYS_SHMGET, unix.IPC_PRIVATE, 64 << 20, 0o600}, "memfd_create": {unix.SYS_MEMFD_CREATE}, "pipe": {unix.SYS_PIPE},
	} {
		if errno := c.call(call[0], call[1:]...); errno != unix.EPERM {
			t.Errorf("%s: %v, want EPERM", name, errno)
		}
	}
	if c.born.Orig_rax != unix.SYS_CLONE {
		t.Fatalf("it was born by call %d", c.born.Orig_rax)
	}
	birth := []uintptr{uintptr(c.born.Rdi), uintptr(c.born.Rsi), uintptr(c.born.Rdx), uintptr(c.born.R10), uintptr(c.born.R8)}
	if errno := c.call(unix.SYS_CLONE, birth...); errno != unix.EAGAIN {
		t.Errorf("clone as at its birth: %v, want EAGAIN, as its user has no more processes", errno)
	}
	for i := range birth {
		for _, bit := range []uintptr{1 << 4, 1 << 33} {
			args := slices.Clone(birth)
			args[i] ^= bit
			if errno := c.call(unix.SYS_CLONE, args...); errno != unix.EPERM {
				t.Errorf("clone with %#x: %v, want EPERM", args, errno)
			}
		}
	}
	for _, raise := range []uintptr{unix.RLIMIT_NPROC, unix.RLIMIT_AS} {
		if errno := c.call(unix.SYS_PRLIMIT64, 0, raise, uintptr(c.born.Rsp)); errno != unix.EPERM {
			t.Errorf("prlimit64: %v, want EPERM", errno)
		}
	}
	if errno := c.call(unix.SYS_SETRESUID); errno != unix.EPERM {
		t.Errorf("setresuid to root: %v, want EPERM", errno)
	}
}

// caught is a child that is traced from its birth on.
type caught struct {
	t         *testing.T
	container int
	pid       int
	born      unix.PtraceRegs
}

func catch(t *testing.T) *caught {
	t.Helper()
	p := start(t, "quiet")
	runtime.LockOSThread() // ptrace(2): all requests of one tracer come from one thread
	t.Cleanup(runtime.UnlockOSThread)
	shim, _ := trace(t, p, write(t, "/etc/x", ""))
	c := &caught{t: t, container: p.Pid(), pid: awaitBirth(t, shim)}
	t.Cleanup(func() {
		unix.Kill(-shim, unix.SIGKILL)
		awaitStop(t, c.pid)
	})
	// What it makes is not to stop at its birth, but to be seen as a number.
	if err := unix.PtraceSetOptions(c.pid, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.PtraceGetRegs(c.pid, &c.born); err != nil {
		t.Fatal(err)
	}
	return c
}

// call has the child make a system call. What the call returns that is no error is no errno's number either.
func (c *caught) call(nr uintptr, args ...uintptr) unix.Errno {
	c.t.Helper()
	regs := c.born
	regs.Rip -= 2 // the syscall instruction that it was born in
	regs.Rax, regs.Orig_rax = uint64(nr), ^uint64(0)
	for i, to := range []*uint64{&regs.Rdi, &regs.Rsi, &regs.Rdx, &regs.R10, &regs.R8, &regs.R9} {
		if *to = 0; i < len(args) {
			*to = uint64(args[i])
		}
	}
	if err := unix.PtraceSetRegs(c.pid, &regs); err != nil {
		c.t.Fatal(err)
	}
	if err := unix.PtraceSingleStep(c.pid); err != nil {
		c.t.Fatal(err)
	}
	if status := awaitStop(c.t, c.pid); status.StopSignal() != unix.SIGTRAP {
		c.t.Fatalf("call %d: it did not come back: %#x", nr, status)
	}
	if err := unix.PtraceGetRegs(c.pid, &regs); err != nil {
		c.t.Fatal(err)
	}
	return unix.Errno(-int64(regs.Rax))
}

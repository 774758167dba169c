package nsenter

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Feature is one thing that a crossing needs of the node, and whether it is
// there.
type Feature struct {
	Name   string
	Detail string // what was found, when Err is nil
	Err    error  // why it is missing
	Fix    string // what a person can do when it is
}

// Probe tries what a crossing needs of the kernel and of the agent's own
// privileges. It changes nothing.
func Probe() []Feature {
	return []Feature{probeKernel(), probePidfd(), probeOpenat2(), probeMemfd(), probeSeccomp(), probeCapabilities(), probeHostPID()}
}

func probeKernel() Feature {
	f := Feature{Name: "kernel", Fix: "run Linux 5.10 or newer"}
	var u unix.Utsname
	if f.Err = unix.Uname(&u); f.Err != nil {
		return f
	}
	f.Detail = unix.ByteSliceToString(u.Release[:])
	if !atLeast(f.Detail, 5, 10) {
		f.Err = fmt.Errorf("%s: %w", f.Detail, ErrKernel)
	}
	return f
}

// atLeast compares the first two numbers of a kernel release.
func atLeast(release string, major, minor int) bool {
	first, rest, _ := strings.Cut(release, ".")
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end >= 0 {
		rest = rest[:end]
	}
	a, errA := strconv.Atoi(first)
	b, errB := strconv.Atoi(rest)
	return errA == nil && errB == nil && (a > major || a == major && b >= minor)
}

func probePidfd() Feature {
	f := Feature{Name: "pidfd", Detail: "pidfd_open works", Fix: "allow pidfd_open in the seccomp profile of podreload's pod"}
	p, err := Pin(os.Getpid())
	if f.Err = err; err == nil {
		p.Close()
	}
	return f
}

func probeOpenat2() Feature {
	f := Feature{Name: "openat2", Detail: "openat2 works", Fix: "allow openat2 in the seccomp profile of podreload's pod"}
	fd, err := unix.Openat2(unix.AT_FDCWD, "/", &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if f.Err = err; err == nil {
		unix.Close(fd)
	}
	return f
}

// probeSeccomp asks for a filter that is nowhere: seccomp(2).
func probeSeccomp() Feature {
	f := Feature{Name: "seccomp", Detail: "filters work", Fix: "run a kernel with CONFIG_SECCOMP_FILTER"}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, 0, 0, 0); err != unix.EFAULT {
		f.Err = fmt.Errorf("no seccomp filters (%w): %w", err, ErrKernel)
	}
	return f
}

// probeMemfd looks at the one setting that forbids programs in memory (Linux 6.3).
func probeMemfd() Feature {
	f := Feature{Name: "memfd", Detail: "programs in memory are allowed", Fix: "set sysctl vm.memfd_noexec to 0 or 1"}
	if text, err := os.ReadFile("/proc/sys/vm/memfd_noexec"); err == nil && strings.TrimSpace(string(text)) == "2" {
		f.Err = fmt.Errorf("vm.memfd_noexec is 2: %w", ErrPermission)
	}
	return f
}

// wanted are the capabilities of a whole crossing, writing included, and what
// each is for.
var wanted = []struct {
	bit       int
	name, why string
}{
	{unix.CAP_SYS_ADMIN, "SYS_ADMIN", "to join namespaces"},
	{unix.CAP_SYS_CHROOT, "SYS_CHROOT", "to join mount namespaces"},
	{unix.CAP_SYS_PTRACE, "SYS_PTRACE", "to see who a process is"},
	{unix.CAP_KILL, "KILL", "to signal"},
	{unix.CAP_SETUID, "SETUID", "to signal as a user who is nobody else"},
	{unix.CAP_CHOWN, "CHOWN", "to give files their owner"},
	{unix.CAP_FOWNER, "FOWNER", "to give files their mode"},
	{unix.CAP_DAC_OVERRIDE, "DAC_OVERRIDE", "to write in the container's directories"},
}

func probeCapabilities() Feature {
	f := Feature{Name: "capabilities", Fix: "run as root, in a privileged pod"}
	self, err := os.ReadFile("/proc/self/status")
	if err != nil {
		f.Err = err
		return f
	}
	have := parseCapEff(self)
	var missing, names []string
	for _, c := range wanted {
		names = append(names, c.name)
		if have&(1<<c.bit) == 0 {
			missing = append(missing, c.name+" ("+c.why+")")
		}
	}
	f.Detail = strings.Join(names, ", ")
	if len(missing) > 0 {
		f.Err = fmt.Errorf("%w: missing %s", ErrPermission, strings.Join(missing, ", "))
	}
	return f
}

// initPIDNamespace is the inode of the node's own PID namespace: a constant of
// the kernel, PROC_PID_INIT_INO.
const initPIDNamespace = 0xEFFFFFFC

func probeHostPID() Feature {
	f := Feature{Name: "hostPID", Detail: "the node's processes are visible", Fix: "set hostPID: true in podreload's pod"}
	link, err := os.Readlink("/proc/self/ns/pid")
	switch {
	case err != nil:
		f.Err = fmt.Errorf("is /proc mounted? %w", err)
	case parseNamespace(link) != initPIDNamespace:
		f.Err = fmt.Errorf("%w: this is %s, not the node's PID namespace", ErrPermission, link)
	}
	return f
}

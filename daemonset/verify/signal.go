package verify

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/nsenter"
)

// lastSignal is the highest signal number on Linux (SIGRTMAX).
const lastSignal = 64

// Signal reads a signal as people write it: HUP, SIGHUP, hup or 1. The error
// wraps [ErrBadSignal].
func Signal(name string) (syscall.Signal, error) {
	if n, err := strconv.Atoi(name); err == nil {
		if n < 1 || n > lastSignal {
			return 0, fmt.Errorf("%w %s: numbers go from 1 to %d", ErrBadSignal, name, lastSignal)
		}
		return syscall.Signal(n), nil
	}
	if sig := unix.SignalNum("SIG" + strings.TrimPrefix(strings.ToUpper(name), "SIG")); sig != 0 {
		return sig, nil
	}
	return 0, fmt.Errorf("%w %q: use a name such as HUP or USR1, or a number", ErrBadSignal, name)
}

// SignalName is the short name of a signal, such as HUP; its number if it has
// no name.
func SignalName(sig syscall.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return strings.TrimPrefix(name, "SIG")
	}
	return strconv.Itoa(int(sig))
}

// CanSignal reports whether the process has a handler for the signal (SigCgt
// of /proc/PID/status). The error wraps [ErrWouldKill] and says what the kernel
// would do instead (signal(7), "Standard signals").
func CanSignal(info nsenter.Info, sig syscall.Signal) error {
	if info.Catches(sig) {
		return nil
	}
	return fmt.Errorf("%w: process %d (%s) has no handler for %s, which would %s; not sent",
		ErrWouldKill, info.Pid, info.Comm, SignalName(sig), withoutHandler(info, sig))
}

// withoutHandler is what a signal does to a process that has no handler for it
// and does not ignore it.
func withoutHandler(info nsenter.Info, sig syscall.Signal) string {
	switch sig {
	case unix.SIGCHLD, unix.SIGURG, unix.SIGWINCH, unix.SIGCONT:
		return "do nothing"
	case unix.SIGKILL:
		return "end it"
	case unix.SIGSTOP:
		return "stop it"
	}
	// The kernel drops what the first process of a PID namespace has no
	// handler for, if the sender is in that namespace (pid_namespaces(7)).
	if info.NSPid == 1 {
		return "do nothing, as it is PID 1 of its container"
	}
	switch sig {
	case unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU:
		return "stop it"
	}
	return "end it"
}

package check

import (
	"errors"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAwait: a runtime that has ended before it is waited for is one that has ended, and
// not one that cannot be found.
func TestAwait(t *testing.T) {
	for program, want := range map[string]error{"/bin/true": nil, "/bin/false": errExit} {
		pid, err := syscall.ForkExec(program, []string{program}, &syscall.ProcAttr{Sys: &syscall.SysProcAttr{Setsid: true}})
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
			t.Fatal(err)
		}
		if err := new(Checker).await(t.Context(), pid, ""); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", program, err, want)
		}
		if err := unix.Kill(pid, 0); err == nil {
			t.Errorf("%s is not reaped", program)
		}
	}
}

// TestAwaitGroup: what a runtime leaves of itself when it ends is collected, also what ends
// later than it.
func TestAwaitGroup(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	for _, script := range []string{"sleep 0.2 & exit 1", "(sleep 0.1; exit 0) & (exit 0) & exit 1", "exit 1"} {
		pid, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", script}, &syscall.ProcAttr{Sys: &syscall.SysProcAttr{Setsid: true}})
		if err != nil {
			t.Fatal(err)
		}
		var c Checker
		if err := c.await(t.Context(), pid, ""); !errors.Is(err, errExit) {
			t.Errorf("%s: %v, want %v", script, err, errExit)
		}
		c.behind.Wait()
		if err := unix.Kill(-pid, 0); err != unix.ESRCH {
			t.Errorf("%s: something is left: %v", script, err)
		}
	}
}

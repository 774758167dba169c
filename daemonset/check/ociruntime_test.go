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
		if err := new(Checker).await(t.Context(), pid); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", program, err, want)
		}
		if err := unix.Kill(pid, 0); err == nil {
			t.Errorf("%s is not reaped", program)
		}
	}
}

package nsenter_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/testenv"
)

// A process that was pinned is not mistaken for another that has its pid by now.
func TestPidIsReused(t *testing.T) {
	first := sleeper(t)
	pid := first.Process.Pid
	p := pin(t, pid)
	first.Process.Kill()
	first.Wait()
	second := reuse(t, pid)
	s, other := sealed(t), start(t, "plain")
	for what, err := range map[string]error{
		"Alive":               p.Alive(),
		"Info":                errorOf(p.Info()),
		"Cross":               errorOf(s.Cross(t.Context(), p, nil, write(t, "/etc/x", ""))),
		"Cross, to signal it": errorOf(s.Cross(t.Context(), other.Process, p, write(t, "/etc/x", ""))),
	} {
		if !errors.Is(err, nsenter.ErrGone) {
			t.Errorf("%s: %v, want ErrGone", what, err)
		}
	}
	if err := pin(t, second.Process.Pid).Alive(); err != nil {
		t.Errorf("the second: %v", err)
	}
}

func errorOf[T any](_ T, err error) error { return err }

// reuse starts a process with that pid.
func reuse(t *testing.T, pid int) *exec.Cmd {
	t.Helper()
	for range 1000 {
		// Somebody else's process may get it first: pid_namespaces(7).
		if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", fmt.Append(nil, pid-1), 0); err != nil {
			testenv.Lacking(t, err)
		}
		cmd := sleeper(t)
		if cmd.Process.Pid == pid {
			return cmd
		}
		cmd.Process.Kill()
		cmd.Wait()
	}
	t.Fatalf("pid %d did not come again", pid)
	return nil
}

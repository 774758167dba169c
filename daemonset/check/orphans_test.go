package check

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/testenv"
)

// TestCollectDying has an init that was killed take its time: it waits for all of its PID
// namespace, and with cgroup v1 it has no cgroup any more by then.
func TestCollectDying(t *testing.T) {
	testenv.NeedsRoot(t)
	group := fmt.Sprintf("/sys/fs/cgroup/pids/podreload-%d", os.Getpid())
	if _, err := os.Stat(filepath.Dir(group)); err != nil {
		group = fmt.Sprintf("/sys/fs/cgroup/podreload-%d", os.Getpid())
	}
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(group); err != nil {
			t.Error(err)
		}
	})
	for range 10 {
		pid := initOf(t, group)
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), clearTimeout)
		err := collectAll(ctx)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Kill(pid, 0); !errors.Is(err, unix.ESRCH) {
			t.Fatalf("process %d after all was collected: %v, want ESRCH", pid, err)
		}
	}
}

// initOf starts the init of a PID namespace with many processes, in a cgroup.
func initOf(t *testing.T, group string) int {
	t.Helper()
	cmd := exec.Command("sh", "-c", "i=0; while [ $i -lt 100 ]; do sleep 1000000 & i=$((i+1)); done; echo; read x")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	in, err := cmd.StdinPipe() // it ends with this process, at the latest
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	pid := cmd.Process.Pid
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), fmt.Append(nil, pid), 0); err != nil {
		t.Fatal(err)
	}
	return pid
}

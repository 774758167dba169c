package nsenter

import (
	"bufio"
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A shim is killed whose child a container has stopped. In a process that inherits
// orphans (check makes the agent one) the child is reaped as well.
func TestReapOrphan(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	shim := exec.Command("sh", "-c", "sleep 1000 >&- & kill -STOP $!; echo $!; wait")
	shim.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := shim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := shim.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	r := &running{process: shim.Process, ended: make(chan struct{})}
	if err := r.process.Kill(); err != nil {
		t.Fatal(err)
	}
	r.reap(func() {})
	<-r.ended
	for _, pid := range []int{shim.Process.Pid, child} {
		if err := unix.Kill(pid, 0); !errors.Is(err, unix.ESRCH) {
			t.Errorf("process %d is there still: %v", pid, err)
		}
	}
}

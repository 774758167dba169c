package testenv

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// end asks a process to end and kills it after the grace period. Closed is closed by whoever
// waits for it.
func end(p *os.Process, closed <-chan struct{}, grace time.Duration) error {
	if err := p.Signal(unix.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end process %d: %w", p.Pid, err)
	}
	select {
	case <-closed:
		return nil
	case <-time.After(grace):
	}
	if err := p.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill process %d: %w", p.Pid, err)
	}
	<-closed
	return nil
}

// Start starts a process that dies with this one, and returns a channel that is closed when it has ended.
func Start(cmd *exec.Cmd) (exited <-chan struct{}, err error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &unix.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid, cmd.SysProcAttr.Pdeathsig = true, unix.SIGKILL
	return startAndWait(cmd)
}

// Stop asks a process of [Start] to end, and kills it after the grace period.
func Stop(cmd *exec.Cmd, exited <-chan struct{}, grace time.Duration) error {
	return end(cmd.Process, exited, grace)
}

// MountNamespaces are those that the threads of a process are in, as their links in /proc name
// them. Of a shim that crosses only the thread that works in the container is there, and which one that is, Go's
// runtime decides. None if it has ended.
func MountNamespaces(pid int) []string {
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/ns/mnt", pid)) // the pattern is a right one
	var namespaces []string
	for _, link := range links {
		if ns, err := os.Readlink(link); err == nil && !slices.Contains(namespaces, ns) {
			namespaces = append(namespaces, ns)
		}
	}
	return namespaces
}

// startAndWait starts a process and returns a channel that is closed when it has ended. The
// thread that started it lives as long as it does: PDEATHSIG is sent when that thread ends,
// not when the process does, see prctl(2).
func startAndWait(cmd *exec.Cmd) (<-chan struct{}, error) {
	// Under nohup this process ignores SIGHUP, and so would all that it starts, to the shells in containers, which
	// cannot trap what they were started to ignore. What is caught is the default again in who is started.
	if signal.Ignored(unix.SIGHUP) {
		signal.Notify(make(chan os.Signal, 1), unix.SIGHUP)
	}
	started, exited := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(exited)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended matters to nobody; that it did shows
		}
	}()
	return exited, <-started
}

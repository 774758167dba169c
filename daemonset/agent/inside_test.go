package agent_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/testenv"
)

// serves waits until port 80 of the pod answers with want.
func serves(t *testing.T, p *testenv.Pod, want string) {
	t.Helper()
	eventually(t, fmt.Sprintf("nginx serves %q", want), func() error {
		got, err := p.Get(t.Context(), 80, "/")
		if err == nil && got != want {
			err = fmt.Errorf("it serves %q", got)
		}
		return err
	})
}

// exec runs a shell line in a container.
func exec(t *testing.T, c *testenv.Container, line string) string {
	t.Helper()
	out, err := c.Exec(t.Context(), "sh", "-c", line)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// info is what the node knows of a process.
func info(t *testing.T, pid int) nsenter.Info {
	t.Helper()
	i, err := nsenter.ReadInfo(pid)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func initPid(t *testing.T, c *testenv.Container) int {
	t.Helper()
	pid, err := c.Pid(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// named waits until the container's init has a name.
func named(t *testing.T, c *testenv.Container, name string) {
	t.Helper()
	eventually(t, "the process has its name", func() error {
		if comm := info(t, initPid(t, c)).Comm; comm != name {
			return errors.New(comm)
		}
		return nil
	})
}

// catches waits until the container's init has a handler for a signal.
func catches(t *testing.T, c *testenv.Container, sig unix.Signal) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s catches %v", c.Name, sig), func() error {
		if i := info(t, initPid(t, c)); i.Comm != "sh" || !i.Catches(sig) {
			return fmt.Errorf("it is %s", i.Comm)
		}
		return nil
	})
}

// server is a running nginx: its master and when that started, and its workers.
type server struct {
	master  int
	started uint64
	workers []int
}

// nginxOf waits until the container's nginx has a master and two workers that
// serve. It finds them by their names, from the container's init downwards.
func nginxOf(t *testing.T, c *testenv.Container) server {
	t.Helper()
	var s server
	init := initPid(t, c)
	eventually(t, "nginx runs in "+c.Name, func() error {
		var err error
		s, err = findNginx(init)
		return err
	})
	return s
}

func findNginx(pid int) (server, error) {
	i, err := nsenter.ReadInfo(pid)
	if err != nil {
		return server{}, err
	}
	children, err := nsenter.Children(pid)
	if err != nil {
		return server{}, err
	}
	if i.Comm != "nginx" {
		for _, child := range children {
			if s, err := findNginx(child); err == nil {
				return s, nil
			}
		}
		return server{}, fmt.Errorf("no nginx below process %d (%s)", pid, i.Comm)
	}
	s := server{master: pid, started: i.StartTime}
	for _, child := range children {
		title, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", child))
		if err == nil && string(bytes.TrimRight(title, "\x00")) == "nginx: worker process" {
			s.workers = append(s.workers, child)
		}
	}
	slices.Sort(s.workers)
	if len(s.workers) != 2 {
		return server{}, fmt.Errorf("nginx has %d workers", len(s.workers))
	}
	return s, nil
}

// wantReloaded fails unless after is before with other workers.
func wantReloaded(t *testing.T, before, after server) {
	t.Helper()
	if after.master != before.master || after.started != before.started {
		t.Errorf("nginx's master is %d (started %d), want %d (%d) as before", after.master, after.started, before.master, before.started)
	}
	for _, w := range after.workers {
		if slices.Contains(before.workers, w) {
			t.Errorf("worker %d is one of before", w)
		}
	}
}

// wantUntouched fails unless the container's nginx is exactly as before.
func wantUntouched(t *testing.T, c *testenv.Container, before server) {
	t.Helper()
	after := nginxOf(t, c)
	if after.master != before.master || after.started != before.started || !slices.Equal(after.workers, before.workers) {
		t.Errorf("nginx in %s is %+v, want %+v as before", c.Name, after, before)
	}
}

// pending waits until a signal waits for a process to take it.
func pending(t *testing.T, pid int, sig unix.Signal) {
	t.Helper()
	eventually(t, fmt.Sprintf("signal %v waits for process %d", sig, pid), func() error {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(b)) {
			var mask uint64
			if n, _ := fmt.Sscanf(line, "ShdPnd: %x", &mask); n == 1 && mask>>(sig-1)&1 == 1 {
				return nil
			}
		}
		return fmt.Errorf("status:\n%s", b)
	})
}

func kill(t *testing.T, pid int, sig unix.Signal) {
	t.Helper()
	if err := unix.Kill(pid, sig); err != nil {
		t.Fatalf("send %v to process %d: %v", sig, pid, err)
	}
}

// stopped stops a process until the returned function or the test's end lets it run. It
// waits until it stands: a process that gets no CPU takes what is sent meanwhile first,
// by the number of the signal, and a HUP that is to wait would be in its handler.
func stopped(t *testing.T, pid int) (resume func()) {
	t.Helper()
	kill(t, pid, unix.SIGSTOP)
	t.Cleanup(func() { unix.Kill(pid, unix.SIGCONT) })
	eventually(t, fmt.Sprintf("process %d stands", pid), func() error {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err == nil && !bytes.Contains(b, []byte(") T ")) {
			err = fmt.Errorf("stat: %s", b)
		}
		return err
	})
	return func() { kill(t, pid, unix.SIGCONT) }
}

// mountDead puts a filesystem that never answers over a directory of a
// container. The returned function takes it away again.
func mountDead(t *testing.T, c *testenv.Container, dir string) (remove func()) {
	t.Helper()
	fuse, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		testenv.Lacking(t, fmt.Errorf("needs /dev/fuse: %w", err))
	}
	pid := initPid(t, c)
	err = within(pid, func() error {
		return unix.Mount("dead", dir, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fuse))
	})
	if err != nil {
		unix.Close(fuse)
		t.Fatal(err)
	}
	done := false
	remove = func() {
		if done {
			return
		}
		done = true
		unix.Close(fuse) // whoever hangs there gets an error
		if err := within(pid, func() error { return unix.Unmount(dir, unix.MNT_DETACH) }); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(remove)
	return remove
}

// within calls f in the mount namespace of a process, on a thread that ends.
func within(pid int, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: nobody else may meet this thread
		done <- func() error {
			own, err := os.Open("/proc/thread-self/ns/mnt")
			if err != nil {
				return err
			}
			defer own.Close()
			theirs, err := os.Open(fmt.Sprintf("/proc/%d/ns/mnt", pid))
			if err != nil {
				return err
			}
			defer theirs.Close()
			if err := unix.Unshare(unix.CLONE_FS); err != nil {
				return err
			}
			if err := unix.Setns(int(theirs.Fd()), unix.CLONE_NEWNS); err != nil {
				return err
			}
			// The main thread cannot be ended, and /proc/self is what it is in.
			defer unix.Setns(int(own.Fd()), unix.CLONE_NEWNS)
			return f()
		}()
	}()
	return <-done
}

// tmpfs mounts a small filesystem of the node for a container to use.
func tmpfs(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=755,size="+size); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

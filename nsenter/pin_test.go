package nsenter_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/nsenter"
)

func pin(t *testing.T, pid int) *nsenter.Process {
	t.Helper()
	p, err := nsenter.Pin(pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// sleeper starts a process that the caller ends and reaps.
func sleeper(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd
}

func TestPinSelf(t *testing.T) {
	p := pin(t, os.Getpid())
	if err := p.Alive(); err != nil {
		t.Error(err)
	}
	info, err := p.Info()
	if err != nil || info.Pid != os.Getpid() || info.PPid != os.Getppid() || info.StartTime != p.StartTime() ||
		info.UID != uint32(os.Geteuid()) || info.MntNS == 0 || info.PIDNS == 0 || info.UserNS == 0 {
		t.Errorf("%+v, %v", info, err)
	}
	if exe, _ := os.Executable(); info.Exe != exe {
		t.Errorf("exe %q, want %q", info.Exe, exe)
	}
}

func TestPinZombie(t *testing.T) {
	cmd := sleeper(t)
	p := pin(t, cmd.Process.Pid)
	cmd.Process.Kill()
	if err := p.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	// It is a zombie now: kill(pid, 0) works still.
	if err := unix.Kill(p.Pid(), 0); err != nil {
		t.Fatal(err)
	}
	if err := p.Alive(); !errors.Is(err, nsenter.ErrGone) {
		t.Errorf("Alive: %v, want ErrGone", err)
	}
	if _, err := p.Info(); !errors.Is(err, nsenter.ErrGone) {
		t.Errorf("Info: %v, want ErrGone", err)
	}
	if _, err := nsenter.Pin(p.Pid()); !errors.Is(err, nsenter.ErrGone) {
		t.Errorf("Pin: %v, want ErrGone", err)
	}
	if info, err := nsenter.ReadInfo(p.Pid()); err != nil || info.State != 'Z' || info.Exe != "" {
		t.Errorf("ReadInfo: %+v, %v, want state Z", info, err)
	}
	cmd.Wait()
	if err := p.Alive(); !errors.Is(err, nsenter.ErrGone) {
		t.Errorf("Alive: %v, want ErrGone", err)
	}
	if _, err := nsenter.ReadInfo(p.Pid()); !errors.Is(err, nsenter.ErrGone) {
		t.Errorf("ReadInfo: %v, want ErrGone", err)
	}
}

func TestPinNobody(t *testing.T) {
	for _, pid := range []int{0, -1, 1 << 22} {
		if p, err := nsenter.Pin(pid); err == nil {
			p.Close()
			t.Errorf("%d was pinned", pid)
		}
	}
}

func TestWait(t *testing.T) {
	cmd := sleeper(t)
	p := pin(t, cmd.Process.Pid)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := p.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want DeadlineExceeded", err)
	}
	cmd.Process.Kill()
	if err := p.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestChildren(t *testing.T) {
	cmd := sleeper(t)
	children, err := nsenter.Children(os.Getpid())
	if err != nil || !slices.Contains(children, cmd.Process.Pid) {
		t.Errorf("%v, %v: want %d in it", children, err, cmd.Process.Pid)
	}
	pids, err := nsenter.Pids()
	if err != nil || !slices.Contains(pids, cmd.Process.Pid) || !slices.Contains(pids, os.Getpid()) {
		t.Errorf("%v, %v", pids, err)
	}
	if _, err := nsenter.Children(1 << 22); !errors.Is(err, nsenter.ErrGone) {
		t.Errorf("%v, want ErrGone", err)
	}
}

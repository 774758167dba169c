package nsenter_test

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/testenv"
)

// elsewhere starts a process with a network namespace of its own, which has nothing but
// a loopback interface that is down.
func elsewhere(t testing.TB) *exec.Cmd {
	t.Helper()
	testenv.NeedsRoot(t)
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd
}

func netns(t testing.TB, of string) string {
	t.Helper()
	link, err := os.Readlink("/proc/" + of + "/ns/net")
	if err != nil {
		t.Error(err)
	}
	return link
}

func TestInNetwork(t *testing.T) {
	cmd := elsewhere(t)
	p := pin(t, cmd.Process.Pid)
	theirs := netns(t, strconv.Itoa(p.Pid()))
	wrong := errors.New("wrong")
	var conn net.Conn
	err := p.InNetwork(func() (err error) {
		if got := netns(t, "thread-self"); got != theirs {
			t.Errorf("fn is in %s, the process in %s", got, theirs)
		}
		// Package net asks the kernel on the calling thread: agents build on that.
		ifaces, err := net.Interfaces()
		if len(ifaces) != 1 || ifaces[0].Flags&net.FlagUp != 0 || err != nil {
			t.Errorf("the namespace has %+v, %v", ifaces, err)
		}
		conn, err = net.Dial("udp", "127.0.0.1:9")
		if !errors.Is(err, unix.ENETUNREACH) {
			t.Errorf("dial over a loopback that is down: %v, %v", conn, err)
		}
		return wrong
	})
	if !errors.Is(err, wrong) {
		t.Errorf("err %v", err)
	}
}

// No thread that was elsewhere is seen again, whoever runs on what.
func TestInNetworkThreadIsGone(t *testing.T) {
	cmd := elsewhere(t)
	p := pin(t, cmd.Process.Pid)
	own := netns(t, "self")
	before := threads(t)
	for range 20 {
		var group errgroup.Group
		for range 8 {
			group.Go(func() error { return p.InNetwork(func() error { return nil }) })
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				if got := netns(t, "thread-self"); got != own {
					t.Errorf("a goroutine is in %s, the process in %s", got, own)
				}
			})
		}
		all.Wait()
	}
	if got := netns(t, "self"); got != own {
		t.Errorf("the main thread is in %s", got)
	}
	// A thread ends a little after its goroutine.
	testenv.Await(t, func() bool { return len(inNamespace(t, own)) == len(threads(t)) })
	if after := threads(t); len(after) > len(before)+16 {
		t.Errorf("%d threads, %d before", len(after), len(before))
	}
}

// A fn that ends its goroutine, as t.FailNow does, holds nobody up.
func TestInNetworkGoexit(t *testing.T) {
	p := pin(t, elsewhere(t).Process.Pid)
	if err := p.InNetwork(func() error { runtime.Goexit(); return nil }); err == nil {
		t.Error("it is said to have returned")
	}
}

func TestInNetworkOfTheDead(t *testing.T) {
	cmd := elsewhere(t)
	p := pin(t, cmd.Process.Pid)
	cmd.Process.Kill()
	if err := p.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	never := func() error { t.Error("fn was called"); return nil }
	if err := p.InNetwork(never); !errors.Is(err, nsenter.ErrGone) {
		t.Errorf("a zombie: %v", err)
	}
	cmd.Wait()
	if err := p.InNetwork(never); !errors.Is(err, nsenter.ErrGone) {
		t.Errorf("a process that is reaped: %v", err)
	}
	if err := p.Signal(unix.SIGKILL); !errors.Is(err, nsenter.ErrGone) {
		t.Errorf("signal: %v", err)
	}
}

func TestInNetworkOfTheNode(t *testing.T) {
	p := pin(t, os.Getpid())
	testenv.NeedsRoot(t)
	own := netns(t, "self")
	if err := p.InNetwork(func() error {
		if got := netns(t, "thread-self"); got != own {
			t.Errorf("fn is in %s, the process in %s", got, own)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

func TestSignal(t *testing.T) {
	cmd := sleeper(t)
	p := pin(t, cmd.Process.Pid)
	if err := p.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSession(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	if info, err := nsenter.ReadInfo(cmd.Process.Pid); err != nil || info.Session != cmd.Process.Pid {
		t.Errorf("%+v, %v", info, err)
	}
}

// threads are the threads of this process.
func threads(t testing.TB) []string {
	t.Helper()
	dir, err := os.Open("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// inNamespace are those of them that are in the network namespace, or gone meanwhile.
func inNamespace(t testing.TB, ns string) []string {
	t.Helper()
	return slices.DeleteFunc(threads(t), func(tid string) bool {
		link, err := os.Readlink("/proc/self/task/" + tid + "/ns/net")
		return err == nil && link != ns
	})
}

// BenchmarkInNetwork is a socket in a container's network.
func BenchmarkInNetwork(b *testing.B) {
	cmd := elsewhere(b)
	p, err := nsenter.Pin(cmd.Process.Pid)
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	for b.Loop() {
		if err := p.InNetwork(func() error {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			return unix.Close(fd)
		}); err != nil {
			b.Fatal(err)
		}
	}
}

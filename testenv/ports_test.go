package testenv

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestHoldPorts looks for free ports in a network that has two to give.
func TestHoldPorts(t *testing.T) {
	Needs(t)
	if err := inSmallNetwork(holdsPorts); err != nil {
		t.Error(err)
	}
}

// inSmallNetwork calls f in a network namespace with ports 40000 and 40001 to give, and comes back from there:
// see within.
func inSmallNetwork(f func() error) (err error) {
	runtime.LockOSThread()
	own, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer own.Close()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	defer func() {
		if back := unix.Setns(int(own.Fd()), unix.CLONE_NEWNET); back != nil {
			err = errors.Join(err, back)
			return
		}
		runtime.UnlockOSThread()
	}()
	// As `ip link set lo up`.
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return err
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("40000 40001"), 0); err != nil {
		return err
	}
	return f()
}

func holdsPorts() error {
	p, err := HoldPorts(1)
	if err != nil {
		return err
	}
	defer p.Release()
	held := p.Addrs[0]

	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer other.Close()
	if other.Addr().String() == held {
		return fmt.Errorf("a listener that wants any port got %s, which is held", held)
	}
	if l, err := net.Listen("tcp", "127.0.0.1:0"); !errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("a third port: %v, %v; want %v", l, err, syscall.EADDRINUSE)
	}
	if c, err := net.Dial("tcp", other.Addr().String()); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		return fmt.Errorf("a connection from any port: %v, %v; want %v", c, err, syscall.EADDRNOTAVAIL)
	}

	for range 2 { // as a server that is started again
		l, err := net.Listen("tcp", held)
		if err != nil {
			return fmt.Errorf("by its number: %w", err)
		}
		l.Close()
	}
	p.Release()
	p.Release()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("after its release: %w", err)
	}
	return l.Close()
}

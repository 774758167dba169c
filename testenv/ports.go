package testenv

import (
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// Ports are ports on loopback that nobody else on the machine gets who does not ask for them by
// their number, whether something listens there or not.
//
// Each is held by a socket that is bound and never listens. With SO_REUSEADDR on both, as Go's
// listeners and etcd's have it, another may bind the port too, and listen; but the kernel
// looking for a free port itself, for a bind to port 0 or for a connect, passes over a port that any
// socket is bound to (inet_csk_find_open_port and __inet_hash_connect of Linux, net/ipv4).
type Ports struct {
	Addrs []string // host:port
	held  []*os.File
}

// HoldPorts holds n ports that are free.
func HoldPorts(n int) (*Ports, error) {
	p := &Ports{}
	for range n {
		if err := p.hold(netip.AddrPortFrom(loopback, 0)); err != nil {
			p.Release()
			return nil, err
		}
	}
	return p, nil
}

// holdAgain holds the ports that these addresses name.
func holdAgain(addrs ...string) (*Ports, error) {
	p := &Ports{}
	for _, a := range addrs {
		addr, err := netip.ParseAddrPort(a)
		if err == nil {
			err = p.hold(addr)
		}
		if err != nil {
			p.Release()
			return nil, err
		}
	}
	return p, nil
}

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// hold adds one port: this one, or where it is 0 a free one.
func (p *Ports) hold(addr netip.AddrPort) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("hold a port: %w", err)
	}
	p.held = append(p.held, os.NewFile(uintptr(fd), "port"))
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return fmt.Errorf("hold a port: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: addr.Addr().As4(), Port: int(addr.Port())}); err != nil {
		return fmt.Errorf("hold port %s: %w", addr, err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return fmt.Errorf("hold a port: %w", err)
	}
	bound := name.(*unix.SockaddrInet4)
	p.Addrs = append(p.Addrs, netip.AddrPortFrom(netip.AddrFrom4(bound.Addr), uint16(bound.Port)).String())
	return nil
}

// Release lets the ports go. It may be called twice.
func (p *Ports) Release() {
	for _, f := range p.held {
		f.Close()
	}
	p.held = nil
}

package facts

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// InterfaceAddrs are the addresses of a network interface of the container, without their masks, in the
// kernel's order. One that does not exist has none.
//
// It does not go through net.InterfaceByName: that remembers the names that it has seen for the
// whole program (net's zoneCache), where those of a container would pass for the node's, and it
// reads all interfaces, of which a container with CAP_NET_ADMIN can have any number.
func (f *Facts) InterfaceAddrs(name string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	found, err := ask(f, "look up the interface "+strconv.Quote(name), func() (addrs []string, err error) {
		if name == "" || len(name) >= ifNameSize || strings.ContainsRune(name, 0) {
			return nil, nil
		}
		err = f.init.InNetwork(func() error {
			addrs, err = interfaceAddrs(name)
			return err
		})
		return addrs, err
	})
	return slices.Clone(found), err
}

// What package syscall has no names for: linux/if.h, linux/netlink.h, linux/socket.h.
const (
	ifNameSize    = 16
	solNetlink    = 270
	getStrictChk  = 12 // of Linux 4.20: a dump heeds the interface that is asked for
	maxDump       = 1 << 20
	netlinkMillis = 2000
)

// interfaceAddrs asks the kernel: rtnetlink(7). The socket is made by the calling thread.
func interfaceAddrs(name string) ([]string, error) {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("netlink: %w", err)
	}
	defer syscall.Close(fd)
	wait := syscall.NsecToTimeval(netlinkMillis * 1e6)
	if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &wait); err != nil {
		return nil, fmt.Errorf("netlink: %w", err)
	}
	syscall.SetsockoptInt(fd, solNetlink, getStrictChk, 1) // where it is not known all come, and are told apart here
	index, err := linkIndex(fd, name)
	if errors.Is(err, syscall.ENODEV) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("netlink: %w", err)
	}
	// struct ifaddrmsg
	body := binary.NativeEndian.AppendUint32([]byte{syscall.AF_UNSPEC, 0, 0, 0}, index)
	var addrs []string
	err = request(fd, syscall.RTM_GETADDR, syscall.NLM_F_DUMP, body, func(m syscall.NetlinkMessage) error {
		if m.Header.Type != syscall.RTM_NEWADDR || len(m.Data) < syscall.SizeofIfAddrmsg || binary.NativeEndian.Uint32(m.Data[4:]) != index {
			return nil
		}
		if addr, ok := address(m); ok {
			addrs = add(addrs, addr)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("netlink: %w", err)
	}
	return addrs, nil
}

// linkIndex is the number of an interface.
func linkIndex(fd int, name string) (index uint32, err error) {
	body := make([]byte, syscall.SizeofIfInfomsg)
	size := syscall.SizeofRtAttr + len(name) + 1
	body = binary.NativeEndian.AppendUint16(body, uint16(size))
	body = binary.NativeEndian.AppendUint16(body, syscall.IFLA_IFNAME)
	body = append(body, name...)
	body = append(body, make([]byte, 1+(-size&(syscall.NLMSG_ALIGNTO-1)))...)
	err = request(fd, syscall.RTM_GETLINK, 0, body, func(m syscall.NetlinkMessage) error {
		if m.Header.Type == syscall.RTM_NEWLINK && len(m.Data) >= syscall.SizeofIfInfomsg {
			index = binary.NativeEndian.Uint32(m.Data[4:])
		}
		return nil
	})
	if err == nil && index == 0 {
		err = errors.New("no answer that makes sense")
	}
	return index, err
}

// address is that of a message: the interface's own, where it leads to one other.
func address(m syscall.NetlinkMessage) (netip.Addr, bool) {
	attrs, err := syscall.ParseNetlinkRouteAttr(&m)
	if err != nil {
		return netip.Addr{}, false
	}
	var found netip.Addr
	local := false
	for _, a := range attrs {
		if a.Attr.Type != syscall.IFA_LOCAL && (a.Attr.Type != syscall.IFA_ADDRESS || local) {
			continue
		}
		if addr, ok := netip.AddrFromSlice(a.Value); ok {
			found, local = addr, a.Attr.Type == syscall.IFA_LOCAL
		}
	}
	return found, found.IsValid()
}

// request sends one request and hands out the messages of the answer, up to a cap.
func request(fd int, kind, flags uint16, body []byte, each func(syscall.NetlinkMessage) error) error {
	b := binary.NativeEndian.AppendUint32(nil, uint32(syscall.NLMSG_HDRLEN+len(body)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, syscall.NLM_F_REQUEST|flags)
	b = binary.NativeEndian.AppendUint32(b, uint32(kind)) // a number that tells the answers apart
	b = binary.NativeEndian.AppendUint32(b, 0)
	b = append(b, body...)
	if err := syscall.Sendto(fd, b, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return err
	}
	buf := make([]byte, 64<<10)
	for total := 0; total < maxDump; {
		n, _, err := syscall.Recvfrom(fd, buf, 0)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		total += n
		messages, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			return err
		}
		for _, m := range messages {
			switch {
			case m.Header.Seq != uint32(kind):
				continue
			case m.Header.Type == syscall.NLMSG_DONE:
				return nil
			case m.Header.Type == syscall.NLMSG_ERROR:
				return failure(m.Data)
			}
			if err := each(m); err != nil {
				return err
			}
			if m.Header.Flags&syscall.NLM_F_MULTI == 0 {
				return nil
			}
		}
	}
	return errors.New("it has too many addresses")
}

// failure is a struct nlmsgerr's.
func failure(data []byte) error {
	if len(data) < 4 {
		return errors.New("an error without a number")
	}
	return syscall.Errno(-int32(binary.NativeEndian.Uint32(data)))
}

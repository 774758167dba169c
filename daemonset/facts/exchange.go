package facts

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"
)

// maxStray is how many packets that answer something else are passed over.
const maxStray = 64

// randomID makes it a little harder to answer a question that one has not seen; the
// port, which the kernel draws, makes it harder.
func randomID() uint16 { return uint16(rand.Uint32()) }

// exchange asks one server, over UDP, and over TCP if the answer is too large for that.
func (f *Facts) exchange(ctx context.Context, try time.Duration, server netip.Addr, q question, message []byte) (records, error) {
	ctx, cancel := context.WithTimeout(ctx, try)
	defer cancel()
	found, err := f.over(ctx, "udp", server, q, message)
	if errors.Is(err, errRetryTCP) {
		found, err = f.over(ctx, "tcp", server, q, message)
	}
	return found, err
}

func (f *Facts) over(ctx context.Context, network string, server netip.Addr, q question, message []byte) (records, error) {
	conn, err := f.dial(ctx, network, netip.AddrPortFrom(server, 53))
	if err != nil {
		return records{}, err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return records{}, err
		}
	}
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	if network == "tcp" {
		return overTCP(conn, q, message)
	}
	return overUDP(conn, q, message)
}

// dial makes the socket in the container's network. Package net makes it on the thread that
// asks, as the address is a number without a zone.
func (f *Facts) dial(ctx context.Context, network string, to netip.AddrPort) (conn net.Conn, err error) {
	err = f.init.InNetwork(func() (err error) {
		var d net.Dialer
		conn, err = d.DialContext(ctx, network, to.String())
		return err
	})
	return conn, err
}

// overUDP passes over what is no answer to the question: anybody can send that.
func overUDP(conn net.Conn, q question, message []byte) (records, error) {
	if _, err := conn.Write(message); err != nil {
		return records{}, err
	}
	b := make([]byte, maxUDP)
	for range maxStray {
		n, err := conn.Read(b)
		if err != nil {
			return records{}, err
		}
		found, err := q.read(b[:n])
		if !errors.Is(err, errNotOurs) {
			return found, err
		}
	}
	return records{}, errNotOurs
}

// overTCP: RFC 1035, 4.2.2: a length before each message.
func overTCP(conn net.Conn, q question, message []byte) (records, error) {
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...)); err != nil {
		return records{}, err
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return records{}, err
	}
	b := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, b); err != nil {
		return records{}, err
	}
	return q.read(b)
}

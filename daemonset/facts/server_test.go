package facts_test

import (
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// server is a small name server in a pod's network, on 127.0.0.1 and port 53. It says what its zone
// says, and that there is no such name of all others.
type server struct {
	t     testing.TB
	zone  map[string][]dnsmessage.ResourceBody // by name and type: "web. A"
	twist func(m *dnsmessage.Message, network string) [][]byte

	mu    sync.Mutex
	asked []string

	packets net.PacketConn
	streams net.Listener
	all     sync.WaitGroup
}

// serve starts a server, which ends with the test. What twist returns is sent instead of the
// answer; nil for the answer itself.
func (in *inside) serve(zone map[string][]dnsmessage.ResourceBody, twist func(m *dnsmessage.Message, network string) [][]byte) *server {
	in.t.Helper()
	s := &server{t: in.t, zone: zone, twist: twist}
	if err := in.init.InNetwork(func() (err error) {
		if s.packets, err = net.ListenPacket("udp", "127.0.0.1:53"); err == nil {
			s.streams, err = net.Listen("tcp", "127.0.0.1:53")
		}
		return err
	}); err != nil {
		in.t.Fatal(err)
	}
	s.all.Go(s.servePackets)
	s.all.Go(s.serveStreams)
	in.t.Cleanup(func() {
		s.packets.Close()
		s.streams.Close()
		s.all.Wait()
	})
	return s
}

func (s *server) servePackets() {
	b := make([]byte, 4096)
	for {
		n, from, err := s.packets.ReadFrom(b)
		if err != nil {
			return
		}
		for _, out := range s.answer(b[:n], "udp") {
			s.packets.WriteTo(out, from)
		}
	}
}

func (s *server) serveStreams() {
	for {
		conn, err := s.streams.Accept()
		if err != nil {
			return
		}
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err == nil {
			b := make([]byte, binary.BigEndian.Uint16(size[:]))
			if _, err := io.ReadFull(conn, b); err == nil {
				for _, out := range s.answer(b, "tcp") {
					conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(out))), out...))
				}
			}
		}
		conn.Close()
	}
}

func (s *server) answer(b []byte, network string) [][]byte {
	var m dnsmessage.Message
	if err := m.Unpack(b); err != nil || len(m.Questions) != 1 {
		s.t.Errorf("a bad question: %v", err)
		return nil
	}
	q := m.Questions[0]
	name, kind := q.Name.String(), strings.TrimPrefix(q.Type.String(), "Type")
	s.mu.Lock()
	s.asked = append(s.asked, name+" "+kind+" "+network)
	s.mu.Unlock()
	m.Response, m.Additionals = true, nil
	known := false
	for key, bodies := range s.zone {
		owner, of, _ := strings.Cut(key, " ")
		known = known || strings.EqualFold(owner, name)
		if !strings.EqualFold(owner, name) || of != kind && of != "*" {
			continue
		}
		for _, body := range bodies {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET}, Body: body})
		}
	}
	if !known {
		m.RCode = dnsmessage.RCodeNameError
	}
	if s.twist != nil {
		if out := s.twist(&m, network); out != nil {
			return out
		}
	}
	out, err := m.Pack()
	if err != nil {
		s.t.Error(err)
	}
	if network == "udp" && len(out) > 1232 {
		m.Truncated, m.Answers = true, nil
		out, _ = m.Pack()
	}
	return [][]byte{out}
}

// questions are those that were asked, since the last time.
func (s *server) questions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.asked
	s.asked = nil
	return all
}

func v4(last byte) dnsmessage.ResourceBody { return &dnsmessage.AResource{A: [4]byte{10, 0, 0, last}} }

func v6(last byte) dnsmessage.ResourceBody {
	return &dnsmessage.AAAAResource{AAAA: [16]byte{0xfd, 15: last}}
}

func service(target string, port uint16) dnsmessage.ResourceBody {
	return &dnsmessage.SRVResource{Target: dnsmessage.MustNewName(target), Port: port, Priority: 1, Weight: 2}
}

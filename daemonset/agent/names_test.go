package agent_test

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/podreload/podreload/daemonset/state"
	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/testenv"
)

// nameServer answers in a container's network, as long as it is told to, and counts what it was asked.
type nameServer struct {
	addrs  atomic.Int32  // in each answer, in another order each time
	six    int           // and of IPv6
	broken atomic.Uint32 // the type of question that it fails at, or dnsmessage.TypeALL
	asked  atomic.Int32
}

func (n *nameServer) start(t *testing.T, c *testenv.Container) {
	t.Helper()
	init, err := nsenter.Pin(initPid(t, c))
	if err != nil {
		t.Fatal(err)
	}
	defer init.Close()
	var packets net.PacketConn
	var streams net.Listener
	if err := init.InNetwork(func() (err error) {
		if packets, err = net.ListenPacket("udp", "127.0.0.1:53"); err == nil {
			streams, err = net.Listen("tcp", "127.0.0.1:53")
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { packets.Close(); streams.Close() })
	go func() {
		for b := make([]byte, 4096); ; {
			size, from, err := packets.ReadFrom(b)
			if err != nil {
				return
			}
			packets.WriteTo(n.answer(t, b[:size], 60), from)
		}
	}()
	go func() {
		for b := make([]byte, 4096); ; {
			conn, err := streams.Accept()
			if err != nil {
				return
			}
			if size, _ := conn.Read(b); size > 2 {
				out := n.answer(t, b[2:size], int(n.addrs.Load()))
				conn.Write(append([]byte{byte(len(out) >> 8), byte(len(out))}, out...))
			}
			conn.Close()
		}
	}()
}

func (n *nameServer) answer(t *testing.T, question []byte, most int) []byte {
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil {
		t.Error(err)
	}
	m.Response, m.Additionals = true, nil
	turn, addrs, broken := int(n.asked.Add(1)), int(n.addrs.Load()), dnsmessage.Type(n.broken.Load())
	q := m.Questions[0]
	add := func(body dnsmessage.ResourceBody) {
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}, Body: body})
	}
	switch {
	case broken == dnsmessage.TypeALL || broken == q.Type:
		m.RCode = dnsmessage.RCodeServerFailure
	case q.Type == dnsmessage.TypeA && addrs > most:
		m.Truncated = true
	case q.Type == dnsmessage.TypeA:
		for i := range addrs {
			host := (turn + i) % addrs
			add(&dnsmessage.AResource{A: [4]byte{10, 0, byte(host >> 8), byte(host)}})
		}
	case q.Type == dnsmessage.TypeAAAA:
		for i := range n.six {
			add(&dnsmessage.AAAAResource{AAAA: [16]byte{0xfd, 15: byte((turn + i) % n.six)}})
		}
	}
	out, err := m.Pack()
	if err != nil {
		t.Error(err)
	}
	return out
}

// looks waits until the name server was asked some times more.
func (n *nameServer) looks(t *testing.T, times int32) {
	t.Helper()
	enough := n.asked.Load() + times
	for deadline := time.Now().Add(time.Minute); n.asked.Load() < enough; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it is not asked")
		}
	}
}

// resolving runs a container whose file /tmp/file has the addresses that a name server tells.
func (r *rig) resolving(names *nameServer) *testenv.Container {
	r.t.Helper()
	r.resync = 300 * time.Millisecond
	r.resource(r.name, "dest = \"/tmp/file\"\nreload_cmd = \"sh -c 'echo x >>/tmp/reloads'\"")
	r.write(map[string]string{"templates/" + r.name + ".tmpl": `{{getv "/value"}}{{range lookupIP "backend.test."}}
server {{.}}{{end}}
`})
	c := r.pod(testenv.PodConfig{}).Container("nginx")
	exec(r.t, c, "echo nameserver 127.0.0.1 >/etc/resolv.conf")
	names.start(r.t, c)
	return c
}

// TestNameServerIsAway: addresses stay in place while nobody can tell them, also over a restart and
// when another key changes; and all of them are there, however many.
func TestNameServerIsAway(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	names := &nameServer{}
	names.addrs.Store(1200)
	c := r.resolving(names)
	r.start()
	r.applied(c, r.put("one"))
	names.looks(t, 6)
	before := exec(t, c, "cat /tmp/file")
	if n := strings.Count(before, "server "); n != 1200 {
		t.Errorf("%d servers are in the file, want 1200", n)
	}
	names.broken.Store(uint32(dnsmessage.TypeALL))
	names.looks(t, 6)
	if after := exec(t, c, "cat /tmp/file"); after != before {
		t.Errorf("the name server is away, and the file has %d bytes of %d", len(after), len(before))
	}
	r.stop()
	revision := r.put("two")
	r.start()
	r.applied(c, revision)
	if got, want := exec(t, c, "cat /tmp/file"), strings.Replace(before, "one", "two", 1); got != want {
		t.Errorf("another key has changed, and the file has %d bytes, want %d", len(got), len(want))
	}
	if n := exec(t, c, "wc -l </tmp/reloads"); n != "2" {
		t.Errorf("%s reloads, want 2", n)
	}
}

// TestHalfAnAnswer: a name server that fails at one kind of addresses takes none of that kind away, and what it says of
// the other is followed.
func TestHalfAnAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	names := &nameServer{six: 2}
	names.addrs.Store(2)
	c := r.resolving(names)
	r.start()
	r.applied(c, r.put("one"))
	for _, tt := range []struct {
		broken dnsmessage.Type
		addrs  int32
		want   string
	}{
		{0, 2, "10.0.0.0 10.0.0.1 fd00:: fd00::1"},
		{dnsmessage.TypeAAAA, 2, "10.0.0.0 10.0.0.1 fd00:: fd00::1"},
		{dnsmessage.TypeAAAA, 1, "10.0.0.0 fd00:: fd00::1"},
		{dnsmessage.TypeA, 3, "10.0.0.0 fd00:: fd00::1"},
		{dnsmessage.TypeALL, 3, "10.0.0.0 fd00:: fd00::1"},
		{0, 3, "10.0.0.0 10.0.0.1 10.0.0.2 fd00:: fd00::1"},
		{0, 0, "fd00:: fd00::1"}, // there are none is an answer
	} {
		names.broken.Store(uint32(tt.broken))
		names.addrs.Store(tt.addrs)
		names.looks(t, 12)
		if got := strings.ReplaceAll(exec(t, c, "sed -n 's/server //p' /tmp/file"), "\n", " "); strings.TrimSpace(got) != tt.want {
			t.Errorf("%+v: the file has %q", tt, got)
		}
	}
}

// TestAnswersAreKept: what name servers say is kept where it changes nothing, too, as in the place of what an agent
// has left that kept none; and not again and again, though they shuffle.
func TestAnswersAreKept(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	names := &nameServer{}
	names.addrs.Store(2)
	c := r.resolving(names)
	r.start()
	r.applied(c, r.put("one"))
	r.stop()
	job := r.manual(c)
	kept := func() time.Time {
		rec, err := r.applier.Store.Load(c.ID)
		if err != nil {
			t.Error(err)
		}
		return rec.Updated
	}
	var before time.Time
	for i, then := range []func(){
		func() { r.amend(c, func(rec *state.Record) { rec.Answers = nil }) },
		func() { before = kept() },
		func() {},
		func() { names.broken.Store(uint32(dnsmessage.TypeALL)) },
		func() {},
	} {
		if outcome, err := r.applier.Apply(t.Context(), job); err != nil || !outcome.Unchanged {
			t.Errorf("look %d: wrote %q, %v", i, outcome.Wrote, err)
		}
		then()
	}
	if after := kept(); !after.Equal(before) {
		t.Errorf("kept at %v, and again at %v", before, after)
	}
}

package facts

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

func name(s string) dnsmessage.Name { return dnsmessage.MustNewName(s) }

func a(owner string, last byte) dnsmessage.Resource {
	return dnsmessage.Resource{
		Header: dnsmessage.ResourceHeader{Name: name(owner), Class: dnsmessage.ClassINET},
		Body:   &dnsmessage.AResource{A: [4]byte{10, 0, 0, last}},
	}
}

func alias(owner, to string) dnsmessage.Resource {
	return dnsmessage.Resource{
		Header: dnsmessage.ResourceHeader{Name: name(owner), Class: dnsmessage.ClassINET},
		Body:   &dnsmessage.CNAMEResource{CNAME: name(to)},
	}
}

func srv(owner, target string, port uint16) dnsmessage.Resource {
	return dnsmessage.Resource{
		Header: dnsmessage.ResourceHeader{Name: name(owner), Class: dnsmessage.ClassINET},
		Body:   &dnsmessage.SRVResource{Target: name(target), Port: port, Priority: 1, Weight: 2},
	}
}

// reply answers a question that was packed.
func reply(t testing.TB, message []byte, change func(*dnsmessage.Message)) []byte {
	t.Helper()
	var m dnsmessage.Message
	if err := m.Unpack(message); err != nil {
		t.Fatal(err)
	}
	m.Response, m.Additionals = true, nil
	change(&m)
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRead(t *testing.T) {
	q, message, err := newQuestion("web.example.", dnsmessage.TypeA, 7)
	if err != nil {
		t.Fatal(err)
	}
	chain := func(links int) (all []dnsmessage.Resource) {
		owner := "web.example."
		for i := range links {
			next := fmt.Sprintf("n%d.example.", i)
			all = append(all, alias(owner, next))
			owner = next
		}
		return append(all, a(owner, 1))
	}
	for about, tt := range map[string]struct {
		change func(*dnsmessage.Message)
		want   string // addresses
		err    error
	}{
		"one":           {func(m *dnsmessage.Message) { m.Answers = append(m.Answers, a("web.example.", 1)) }, "10.0.0.1", nil},
		"in other case": {func(m *dnsmessage.Message) { m.Answers = append(m.Answers, a("WEB.example.", 1)) }, "10.0.0.1", nil},
		"another's": {func(m *dnsmessage.Message) {
			m.Answers = append(m.Answers, a("evil.example.", 6), a("web.example.", 1))
		}, "10.0.0.1", nil},
		"aliases":         {func(m *dnsmessage.Message) { m.Answers = chain(maxChain) }, "10.0.0.1", nil},
		"endless aliases": {func(m *dnsmessage.Message) { m.Answers = chain(maxChain + 1) }, "", ErrNoAnswer},
		"a circle": {func(m *dnsmessage.Message) {
			m.Answers = append(m.Answers, alias("web.example.", "b."), alias("b.", "web.example."))
		}, "", nil},
		"none":           {func(m *dnsmessage.Message) {}, "", nil},
		"no such name":   {func(m *dnsmessage.Message) { m.RCode = dnsmessage.RCodeNameError }, "", nil},
		"server fails":   {func(m *dnsmessage.Message) { m.RCode = dnsmessage.RCodeServerFailure }, "", ErrNoAnswer},
		"truncated":      {func(m *dnsmessage.Message) { m.Truncated = true }, "", errRetryTCP},
		"other id":       {func(m *dnsmessage.Message) { m.ID++ }, "", errNotOurs},
		"no response":    {func(m *dnsmessage.Message) { m.Response = false }, "", errNotOurs},
		"other question": {func(m *dnsmessage.Message) { m.Questions[0].Name = name("x.") }, "", errNotOurs},
		"no question":    {func(m *dnsmessage.Message) { m.Questions = nil }, "", errNotOurs},
		"many": {func(m *dnsmessage.Message) {
			for i := range many {
				m.Answers = append(m.Answers, a("web.example.", byte(i)))
			}
		}, "", nil},
		"too many": {func(m *dnsmessage.Message) {
			for range 2 * maxRecords {
				m.Answers = append(m.Answers, a("web.example.", 1))
			}
		}, "", ErrNoAnswer},
	} {
		got, err := q.read(reply(t, message, tt.change))
		if !errors.Is(err, tt.err) || err != nil && tt.err == nil || about == "many" && len(got.addrs) != many {
			t.Errorf("%s: %v, %v, want %v", about, got.addrs, err, tt.err)
		}
		if about != "many" && strings.Trim(fmt.Sprint(got.addrs), "[]") != tt.want {
			t.Errorf("%s: %v, want %q", about, got.addrs, tt.want)
		}
	}
}

func TestReadServices(t *testing.T) {
	q, message, err := newQuestion("_http._tcp.web.", dnsmessage.TypeSRV, 7)
	if err != nil {
		t.Fatal(err)
	}
	got, err := q.read(reply(t, message, func(m *dnsmessage.Message) {
		m.Answers = append(m.Answers, srv("_http._tcp.web.", "pod-1.web.", 80), srv("_http._tcp.web.", "x;}evil.", 81), srv("_http._tcp.web.", "pod-0.web.", 82))
	}))
	if err != nil || len(got.services) != 2 || got.services[0].Target != "pod-1.web." || got.services[1].Port != 82 || got.services[0].Weight != 2 {
		t.Errorf("%+v, %v", got.services, err)
	}
}

// many is how many addresses of IPv4 fit into a message.
const many = 4095

func FuzzRead(f *testing.F) {
	q, message, err := newQuestion("web.example.", dnsmessage.TypeA, 7)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(reply(f, message, func(m *dnsmessage.Message) {
		m.Answers = append(m.Answers, alias("web.example.", "b."), a("b.", 1), srv("b.", "c.", 1))
	}))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, q := range []question{q, {dnsmessage.Question{Name: q.Name, Type: dnsmessage.TypeSRV, Class: dnsmessage.ClassINET}, 7}} {
			got, err := q.read(b)
			if err != nil && len(got.addrs)+len(got.services) > 0 {
				t.Error("both an answer and an error")
			}
			if len(got.addrs) > maxRecords || len(got.services) > maxRecords {
				t.Error("too many")
			}
			for _, s := range got.services {
				if !isDomainName(s.Target) {
					t.Errorf("target %q", s.Target)
				}
			}
		}
	})
}

func TestIsDomainName(t *testing.T) {
	long := strings.Repeat("x", 63)
	for name, want := range map[string]bool{
		"a": true, "a.b.": true, "_http._tcp.web": true, "x-1": true, ".": true, long + ".a": true,
		"": false, "..": false, "a..b": false, ".a": false, "a b": false, "a;b": false, "ä": false, long + "x": false, strings.Repeat("x.", 128): false,
	} {
		if isDomainName(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

func TestNewQuestion(t *testing.T) {
	for _, bad := range []string{"", "no-dot", strings.Repeat("x", 64) + ".", strings.Repeat("x", 300) + ".", "a..b."} {
		if _, _, err := newQuestion(bad, dnsmessage.TypeA, 1); err == nil {
			t.Errorf("%q is a name", bad)
		}
	}
	if add(nil, netip.MustParseAddr("::ffff:1.2.3.4%x"))[0] != "1.2.3.4" {
		t.Error("an IPv4 address in IPv6's form stays one")
	}
}

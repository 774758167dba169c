package facts_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/podreload/podreload/daemonset/facts"
	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/testenv"
)

const resolv = "search ns.svc.cluster.local svc.cluster.local\nnameserver 127.0.0.1\noptions ndots:2\n"

func TestLookupIP(t *testing.T) {
	in := pod(t, testenv.Debian, testenv.PodConfig{}, testenv.ContainerConfig{})
	in.write("/etc/resolv.conf", resolv)
	in.write("/etc/hosts", "127.0.0.1 localhost\n10.9.9.9 pinned other\nfd00::9 pinned\n")
	var large []dnsmessage.ResourceBody
	for i := range 200 {
		large = append(large, v4(byte(i)))
	}
	s := in.serve(map[string][]dnsmessage.ResourceBody{
		"web.ns.svc.cluster.local. A":    {v4(2), v4(1)},
		"web.ns.svc.cluster.local. AAAA": {v6(1)},
		"db.svc.cluster.local. AAAA":     {v6(2)},
		"example.test. A":                {v4(3)},
		"example.test. TXT":              {&dnsmessage.TXTResource{TXT: []string{"x"}}},
		"deep.example.test. A":           {v4(4)},
		"empty.example.test. TXT":        {&dnsmessage.TXTResource{TXT: []string{"x"}}},
		"large.example.test. A":          large,
		"pinned. A":                      {v4(66)},
	}, nil)
	f := in.facts()
	for _, tt := range []struct {
		host string
		want []string
	}{
		{"pinned", []string{"10.9.9.9", "fd00::9"}},
		{"localhost", []string{"127.0.0.1"}},
		{"web", []string{"10.0.0.2", "10.0.0.1", "fd00::1"}},
		{"WEB", []string{"10.0.0.2", "10.0.0.1", "fd00::1"}},
		{"db", []string{"fd00::2"}},
		{"example.test", []string{"10.0.0.3"}},
		{"example.test.", []string{"10.0.0.3"}},
		{"deep.example.test", []string{"10.0.0.4"}},
		{"empty.example.test", nil},
		{"nothing.at.all", nil},
		{"nothing", nil},
		{"web.", nil},
		{"not a name", nil},
		{"", nil},
		{"192.0.2.1", []string{"192.0.2.1"}},
		{"fd00::5", []string{"fd00::5"}},
	} {
		got, err := f.LookupIP(tt.host)
		if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
			t.Errorf("%q: %v, -want +got:\n%s", tt.host, err, diff)
		}
	}
	if got, err := f.LookupIP("large.example.test"); err != nil || len(got) != 200 {
		t.Errorf("an answer that goes over TCP: %d, %v", len(got), err)
	}
	if !slices.Contains(s.questions(), "large.example.test. A tcp") {
		t.Error("it did not")
	}

	// A pass asks once, and its caller may do with the answer as it likes.
	first, _ := f.LookupIP("web")
	slices.Sort(first)
	first[0] = "changed"
	again, _ := f.LookupIP("web")
	if again[0] != "10.0.0.2" || len(s.questions()) > 0 {
		t.Errorf("again: %v", again)
	}
	// The next asks anew, in the order of the search list.
	if _, err := in.facts().LookupIP("db"); err != nil {
		t.Error(err)
	}
	want := []string{"db.ns.svc.cluster.local. A udp", "db.ns.svc.cluster.local. AAAA udp", "db.svc.cluster.local. A udp", "db.svc.cluster.local. AAAA udp"}
	asked := s.questions()
	slices.Sort(asked)
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("asked, -want +got:\n%s", diff)
	}
}

func TestLookupSRV(t *testing.T) {
	in := pod(t, testenv.V2, testenv.PodConfig{}, testenv.ContainerConfig{})
	in.write("/etc/resolv.conf", resolv)
	in.serve(map[string][]dnsmessage.ResourceBody{
		"_http._tcp.web.ns.svc.cluster.local. SRV": {service("pod-1.web.", 80), service("pod-0.web.", 81), service("bad;name.", 82)},
		"whole.name.test. SRV":                     {service("x.", 1)},
	}, nil)
	f := in.facts()
	got, err := f.LookupSRV("http", "tcp", "web")
	want := []*net.SRV{{Target: "pod-1.web.", Port: 80, Priority: 1, Weight: 2}, {Target: "pod-0.web.", Port: 81, Priority: 1, Weight: 2}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	if got, err := f.LookupSRV("", "", "whole.name.test"); err != nil || len(got) != 1 || got[0].Target != "x." {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := f.LookupSRV("http", "udp", "web"); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
}

// Whatever a name server does, it takes a bounded time and shows as an error, or does no harm.
func TestHostileServer(t *testing.T) {
	for about, tt := range map[string]struct {
		twist func(m *dnsmessage.Message, network string) [][]byte
		ok    bool
	}{
		"never answers": {twist: func(*dnsmessage.Message, string) [][]byte { return [][]byte{} }},
		"answers garbage": {twist: func(*dnsmessage.Message, string) [][]byte {
			return [][]byte{{}, {1}, []byte(strings.Repeat("x", 5000))}
		}},
		"floods": {twist: func(m *dnsmessage.Message, _ string) [][]byte {
			m.ID++
			b, _ := m.Pack()
			return slices.Repeat([][]byte{b}, 500)
		}},
		"answers another first": {ok: true, twist: func(m *dnsmessage.Message, _ string) [][]byte {
			right, _ := m.Pack()
			m.ID++
			wrong, _ := m.Pack()
			return [][]byte{wrong, []byte("garbage"), right}
		}},
		"fails": {twist: func(m *dnsmessage.Message, _ string) [][]byte { m.RCode = dnsmessage.RCodeServerFailure; return nil }},
		"truncates for ever": {twist: func(m *dnsmessage.Message, _ string) [][]byte {
			m.Truncated = true
			return nil
		}},
		"does nothing over TCP": {twist: func(m *dnsmessage.Message, network string) [][]byte {
			m.Truncated = true
			if network == "tcp" {
				return [][]byte{}
			}
			return nil
		}},
	} {
		t.Run(about, func(t *testing.T) {
			in := pod(t, testenv.Debian, testenv.PodConfig{}, testenv.ContainerConfig{})
			in.write("/etc/resolv.conf", resolv)
			in.serve(map[string][]dnsmessage.ResourceBody{"web.ns.svc.cluster.local. A": {v4(1)}}, tt.twist)
			begun := time.Now()
			got, err := in.facts().LookupIP("web")
			if took := time.Since(begun); took > time.Minute {
				t.Errorf("it took %s", took)
			}
			if tt.ok && (err != nil || len(got) != 1) || !tt.ok && (!errors.Is(err, facts.ErrNoAnswer) || got != nil) {
				t.Errorf("%v, %v", got, err)
			}
			if err != nil && (!strings.Contains(err.Error(), "127.0.0.1") || !strings.Contains(err.Error(), in.container.String())) {
				t.Errorf("it does not say who: %v", err)
			}
		})
	}
}

// A name server that fails at one kind of addresses is no server that knows of none.
func TestHalfAnAnswer(t *testing.T) {
	in := pod(t, testenv.Debian, testenv.PodConfig{}, testenv.ContainerConfig{})
	in.write("/etc/resolv.conf", resolv)
	in.serve(map[string][]dnsmessage.ResourceBody{"web.ns.svc.cluster.local. A": {v4(1)}}, func(m *dnsmessage.Message, _ string) [][]byte {
		if m.Questions[0].Type == dnsmessage.TypeAAAA {
			m.RCode = dnsmessage.RCodeServerFailure
		}
		return nil
	})
	f := in.facts()
	for range 2 { // it is remembered whole
		got, err := f.LookupIP("web")
		if diff := cmp.Diff([]string{"10.0.0.1"}, got); diff != "" || !errors.Is(err, facts.ErrNoAnswer) {
			t.Errorf("%v, -want +got:\n%s", err, diff)
		}
	}
}

// A pass whose name server is dead does not wait for it name by name.
func TestDeadServerIsWaitedForOnce(t *testing.T) {
	in := pod(t, testenv.Debian, testenv.PodConfig{}, testenv.ContainerConfig{})
	in.write("/etc/resolv.conf", resolv)
	in.serve(nil, func(*dnsmessage.Message, string) [][]byte { return [][]byte{} })
	f := in.facts()
	var err error
	for i := range 20 {
		if _, err = f.LookupIP(fmt.Sprintf("host-%d", i)); err == nil {
			t.Fatal("an answer")
		}
	}
	if !errors.Is(err, facts.ErrTooMany) {
		t.Errorf("the last: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	f = facts.Of(ctx, in.shim, in.init, in.container)
	time.AfterFunc(100*time.Millisecond, cancel)
	if _, err := f.LookupIP("web"); err == nil {
		t.Error("an answer after the context's end")
	}
	if _, err := f.InterfaceAddrs("lo"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// Nobody listens: that is no "no such name".
func TestNoServer(t *testing.T) {
	in := pod(t, testenv.Debian, testenv.PodConfig{}, testenv.ContainerConfig{})
	in.write("/etc/resolv.conf", resolv)
	if got, err := in.facts().LookupIP("web"); !errors.Is(err, facts.ErrNoAnswer) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestInterfaceAddrs(t *testing.T) {
	in := pod(t, testenv.Debian, testenv.PodConfig{}, testenv.ContainerConfig{Privileged: true})
	in.sh("ip addr add 192.0.2.7/24 dev lo && ip addr add 192.0.2.8/24 dev lo")
	own, _ := os.Readlink("/proc/self/ns/net")
	f := in.facts()
	for name, want := range map[string][]string{
		"lo": {"127.0.0.1", "192.0.2.7", "192.0.2.8"}, "none": nil, "": nil, strings.Repeat("x", 100): nil, "a/b": nil, "lo\x00": nil,
	} {
		got, err := f.InterfaceAddrs(name)
		got = slices.DeleteFunc(got, func(a string) bool { return strings.Contains(a, ":") }) // a kernel may have no IPv6
		if diff := cmp.Diff(want, got); err != nil || len(want)+len(got) > 0 && diff != "" {
			t.Errorf("%q: %v, -want +got:\n%s", name, err, diff)
		}
	}
	// The machine's own interfaces are as ever.
	lo, err := net.InterfaceByName("lo")
	if err != nil || slices.Contains(addrsOf(*lo), "192.0.2.7/24") {
		t.Errorf("the machine's has the pod's addresses: %v", err)
	}
	if now, _ := os.Readlink("/proc/self/ns/net"); now != own {
		t.Errorf("the network was %s and is %s", own, now)
	}
}

func addrsOf(i net.Interface) (all []string) {
	addrs, _ := i.Addrs()
	for _, a := range addrs {
		all = append(all, a.String())
	}
	return all
}

// A pod in the node's network has the node's interfaces, by the same call.
func TestHostNetwork(t *testing.T) {
	in := pod(t, testenv.Debian, testenv.PodConfig{HostNetwork: true}, testenv.ContainerConfig{})
	got, err := in.facts().InterfaceAddrs("lo")
	lo, e := net.InterfaceByName("lo")
	if e != nil {
		t.Fatal(e)
	}
	var want []string
	for _, a := range addrsOf(*lo) {
		text, _, _ := strings.Cut(a, "/")
		want = append(want, text)
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
}

func TestContainerIsGone(t *testing.T) {
	in := pod(t, testenv.Debian, testenv.PodConfig{}, testenv.ContainerConfig{})
	if err := in.c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	f := in.facts()
	if _, err := f.FileExists("/etc/hosts"); !errors.Is(err, nsenter.ErrGone) {
		t.Errorf("file: %v", err)
	}
	if _, err := f.LookupIP("web"); !errors.Is(err, nsenter.ErrGone) {
		t.Errorf("host: %v", err)
	}
	if _, err := f.InterfaceAddrs("lo"); !errors.Is(err, nsenter.ErrGone) {
		t.Errorf("interface: %v", err)
	}
	if _, err := f.User("root"); !errors.Is(err, nsenter.ErrGone) {
		t.Errorf("user: %v", err)
	}
}

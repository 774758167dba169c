package facts

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func addrs(list ...string) []netip.Addr {
	var all []netip.Addr
	for _, a := range list {
		all = append(all, netip.MustParseAddr(a))
	}
	return all
}

func TestParseConfig(t *testing.T) {
	for text, want := range map[string]config{
		"": {servers: addrs("127.0.0.1", "::1"), ndots: 1, attempts: 2},
		"nameserver 10.96.0.10\nsearch ns.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n": {
			servers: addrs("10.96.0.10"), search: []string{"ns.svc.cluster.local", "svc.cluster.local", "cluster.local"}, ndots: 5, attempts: 2,
		},
		"# nameserver 1.1.1.1\n; search a\nsearch a b\ndomain c.\nsearch .\n nameserver ::ffff:1.2.3.4": {servers: addrs("1.2.3.4"), ndots: 1, attempts: 2},
		"nameserver fe80::1%eth0\nnameserver x\nnameserver\nnameserver 1.1.1.1 2.2.2.2\nnameserver ::1\nnameserver 3.3.3.3\nnameserver 4.4.4.4": {
			servers: addrs("1.1.1.1", "::1", "3.3.3.3"), ndots: 1, attempts: 2,
		},
		"nameserver 1.1.1.1\noptions ndots:99 attempts:99 timeout:9999 ndots:x rotate edns0 :": {servers: addrs("1.1.1.1"), ndots: 15, attempts: 3},
		"nameserver 1.1.1.1\noptions ndots:-1 attempts:0":                                      {servers: addrs("1.1.1.1"), ndots: 0, attempts: 1},
	} {
		if diff := cmp.Diff(want, parseConfig([]byte(text)), cmp.AllowUnexported(config{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("%q, -want +got:\n%s", text, diff)
		}
	}
	if c := parseConfig([]byte("search " + strings.Repeat("x ", 10000))); len(c.search) != maxSearch {
		t.Errorf("%d search domains", len(c.search))
	}
}

func TestNames(t *testing.T) {
	c := config{search: []string{"a.b", strings.Repeat("x", 250)}, ndots: 2}
	for name, want := range map[string][]string{
		"web":                    {"web.a.b.", "web."},
		"web.ns":                 {"web.ns.a.b.", "web.ns."},
		"web.ns.svc":             {"web.ns.svc.", "web.ns.svc.a.b."},
		"web.":                   {"web."},
		"":                       nil,
		".":                      nil,
		strings.Repeat("x", 253): {strings.Repeat("x", 253) + "."},
		strings.Repeat("x", 255): nil,
	} {
		if diff := cmp.Diff(want, c.names(name)); diff != "" {
			t.Errorf("%q, -want +got:\n%s", name, diff)
		}
	}
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte("nameserver 1.1.1.1\nsearch a b\noptions ndots:5"), "web")
	f.Fuzz(func(t *testing.T, text []byte, name string) {
		c := parseConfig(text)
		if len(c.servers) == 0 || len(c.servers) > maxServers || len(c.search) > maxSearch || c.ndots < 0 || c.ndots > maxNdots ||
			c.attempts < 1 || c.attempts > maxAttempts {
			t.Fatalf("%+v", c)
		}
		for _, full := range c.names(name) {
			if !strings.HasSuffix(full, ".") || !strings.HasPrefix(full, strings.TrimSuffix(name, ".")) || len(full) > maxName {
				t.Errorf("%q of %q", full, name)
			}
		}
	})
}

func TestFindHost(t *testing.T) {
	const hosts = "127.0.0.1 localhost\n::1\tlocalhost ip6-localhost # web\n# 9.9.9.9 web\n10.0.0.1 web WEB web.example.\n" +
		"10.0.0.1 web\n::ffff:10.0.0.2 web\nfe80::1%eth0 web\nx web\n10.0.0.9\n"
	for name, want := range map[string][]string{
		"localhost":   {"127.0.0.1", "::1"},
		"Web":         {"10.0.0.1", "10.0.0.2", "fe80::1"},
		"web.example": {"10.0.0.1"}, "web.example.": {"10.0.0.1"},
		"nothing": nil, "": nil, "10.0.0.9": nil, "#": nil,
	} {
		if diff := cmp.Diff(want, findHost([]byte(hosts), name)); diff != "" {
			t.Errorf("%q, -want +got:\n%s", name, diff)
		}
	}
	many := strings.Builder{}
	for i := range 2 * maxAddrs {
		many.WriteString(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String() + " many\n")
	}
	if got := findHost([]byte(many.String()), "many"); len(got) != maxAddrs {
		t.Errorf("%d addresses", len(got))
	}
}

func FuzzFindHost(f *testing.F) {
	f.Add([]byte("127.0.0.1 localhost # x\n"), "localhost")
	f.Fuzz(func(t *testing.T, hosts []byte, name string) {
		found := findHost(hosts, name)
		if len(found) > maxAddrs {
			t.Fatalf("%d addresses", len(found))
		}
		for _, a := range found {
			if _, err := netip.ParseAddr(a); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestFindOwner(t *testing.T) {
	const passwd = "root:x:0:0:root:/root:/bin/sh\n\nbad\nodd:x:-1:0:::\nodd:x:7:0:::\nlarge:x:4294967296:0:::\n+nis\n www-data:x:33:33::/:\r\nroot:x:5:5:::\n:x:9:9:::\nlast:x:8:"
	for name, want := range map[string]uint32{"root": 0, "odd": 7, "www-data": 33, "last": 8} {
		if id, ok := findOwner([]byte(passwd), name); !ok || id != want {
			t.Errorf("%q: %d, %v, want %d", name, id, ok, want)
		}
	}
	for _, name := range []string{"", "bad", "large", "+nis", "nobody", "root:x"} {
		if id, ok := findOwner([]byte(passwd), name); ok {
			t.Errorf("%q: %d", name, id)
		}
	}
}

func FuzzFindOwner(f *testing.F) {
	f.Add([]byte("root:x:0:0:root:/root:/bin/sh\n"), "root")
	f.Fuzz(func(t *testing.T, table []byte, name string) {
		if _, ok := findOwner(table, name); ok && (name == "" || !strings.Contains(string(table), name+":")) {
			t.Errorf("%q is in %q", name, table)
		}
	})
}

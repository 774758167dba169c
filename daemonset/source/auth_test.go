package source

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/podreload/podreload/testenv"
)

const password = "s3cret-PASS"

// newGuarded starts an etcd with authentication: root may do all, user "web"
// may read /web and what is below. The client returned is root's.
func newGuarded(t *testing.T) (*testenv.Etcd, *clientv3.Client) {
	t.Helper()
	e := testenv.NewEtcd(t)
	put(t, e, "/web/x", "1")
	put(t, e, "/other/x", "1")
	put(t, e, "/split/x", "1")
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, a := t.Context(), e.Client()
	must(a.UserAdd(ctx, "root", password))
	must(a.RoleAdd(ctx, "root"))
	must(a.UserGrantRole(ctx, "root", "root"))
	must(a.UserAdd(ctx, "web", password))
	must(a.RoleAdd(ctx, "web"))
	must(a.RoleGrantPermission(ctx, "web", "/web", clientv3.GetPrefixRangeEnd("/web"), clientv3.PermissionType(clientv3.PermRead)))
	must(a.UserGrantRole(ctx, "web", "web"))
	must(a.AuthEnable(ctx))
	root, err := clientv3.New(clientv3.Config{Endpoints: []string{e.Endpoint()}, Username: "root", Password: password, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return e, root
}

// TestAuth shares one etcd, since its password hashes are slow by design.
func TestAuth(t *testing.T) {
	e, root := newGuarded(t)
	t.Run("credentials", func(t *testing.T) { testCredentials(t, e, root) })
	t.Run("watch refused", func(t *testing.T) { testWatchRefused(t, e, root) })
	t.Run("token gone", func(t *testing.T) { testTokenGone(t, e, root) })
	t.Run("login while down", func(t *testing.T) { testLoginWhileDown(t, e) })
}

func testCredentials(t *testing.T, e *testenv.Etcd, root *clientv3.Client) {
	at := []string{e.Endpoint()}
	for _, tc := range []struct {
		name  string
		cfg   Config
		keys  []string
		class error
		says  []string
	}{
		{"wrong password", Config{Endpoints: at, User: "web", Password: password + "!"}, []string{"/web"},
			ErrCredentials, []string{`user "web"`, "password"}},
		{"unknown user", Config{Endpoints: at, User: "nobody", Password: password}, []string{"/web"},
			ErrCredentials, []string{`user "nobody"`}},
		{"no user", Config{Endpoints: at}, []string{"/web"},
			ErrCredentials, []string{"--user"}},
		{"no permission", Config{Endpoints: at, User: "web", Password: password}, []string{"/other", "/web"},
			ErrPermission, []string{`user "web"`, "/other"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := open(t, tc.cfg)
			s := c.Subscribe(tc.keys)
			defer s.Close()
			subscribed := fails(t, s, tc.class)
			_, read := c.Read(t.Context(), tc.keys)
			for _, err := range []error{subscribed, read} {
				if !errors.Is(err, tc.class) {
					t.Errorf("%v, want the class %q", err, tc.class)
				}
				for _, want := range append(tc.says, e.Endpoint()) {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%q does not say %q", err, want)
					}
				}
				if text := fmt.Sprintf("%+v %#v", err, err); strings.Contains(text, password) {
					t.Errorf("%q has the password", text)
				}
			}
		})
	}

	// A permission that is granted later needs no restart.
	c := open(t, Config{Endpoints: at, User: "web", Password: password})
	s := c.Subscribe([]string{"/other"})
	fails(t, s, ErrPermission)
	if _, err := root.RoleGrantPermission(t.Context(), "web", "/other", clientv3.GetPrefixRangeEnd("/other"),
		clientv3.PermissionType(clientv3.PermRead)); err != nil {
		t.Fatal(err)
	}
	holds(t, s, "/other/x=1")
}

// testWatchRefused grants the keys but not the range between them that a watch
// spans.
func testWatchRefused(t *testing.T, e *testenv.Etcd, root *clientv3.Client) {
	for _, span := range [][2]string{{"/split", ""}, {"/split/", "/split0"}} {
		if _, err := root.RoleGrantPermission(t.Context(), "web", span[0], span[1], clientv3.PermissionType(clientv3.PermRead)); err != nil {
			t.Fatal(err)
		}
	}
	c := open(t, Config{Endpoints: []string{e.Endpoint()}, User: "web", Password: password})
	fine := c.Subscribe([]string{"/web"})
	holds(t, fine, "/web/x=1")
	s := c.Subscribe([]string{"/split"})
	fails(t, s, ErrPermission)
	if snap, _ := s.Current(); snap == nil || snap.Len() != 1 {
		t.Errorf("what could be read: %s", show(snap))
	}
	if _, err := root.Put(t.Context(), "/web/x", "2"); err != nil {
		t.Fatal(err)
	}
	holds(t, fine, "/web/x=2") // on the same stream, undisturbed
}

// testTokenGone makes etcd forget the token that the shared stream began with.
func testTokenGone(t *testing.T, e *testenv.Etcd, root *clientv3.Client) {
	c := open(t, Config{Endpoints: []string{e.Endpoint()}, User: "web", Password: password})
	n := count(c)
	one := c.Subscribe([]string{"/web"})
	holds(t, one, "/web/x=2")
	if _, err := root.UserChangePassword(t.Context(), "web", password); err != nil {
		t.Fatal(err)
	}
	two := c.Subscribe([]string{"/web/x", "/web/y"})
	holds(t, two, "/web/x=2")
	if _, err := root.Put(t.Context(), "/web/x", "3"); err != nil {
		t.Fatal(err)
	}
	holds(t, one, "/web/x=3")
	holds(t, two, "/web/x=3")
	if s := n.streams.Load(); s != 2 {
		t.Errorf("%d watch streams, want the old and a new one", s)
	}
}

// testLoginWhileDown opens with a user before etcd can be reached.
func testLoginWhileDown(t *testing.T, e *testenv.Etcd) {
	p := newProxy(t, e.Endpoint())
	p.Cut()
	c := open(t, Config{Endpoints: []string{p.Endpoint()}, User: "web", Password: password})
	s := c.Subscribe([]string{"/web"})
	fails(t, s, ErrUnavailable)
	p.Mend()
	holds(t, s, "/web/x=3")
}

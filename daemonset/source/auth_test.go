package source

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/podreload/podreload/testenv"
)

const password = "s3cret-PASS"

// guarded is an etcd with authentication: root may do all, user "web" may read
// /web and what is below.
type guarded struct{ *testenv.Etcd }

func newGuarded(t *testing.T, config testenv.EtcdConfig) *guarded {
	t.Helper()
	e := testenv.NewEtcdWith(t, config)
	for _, key := range []string{"/web/x", "/other/x", "/split/x"} {
		put(t, e, key, "1")
	}
	ctx, a := t.Context(), e.Client()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(a.UserAdd(ctx, "root", password))
	must(a.RoleAdd(ctx, "root"))
	must(a.UserGrantRole(ctx, "root", "root"))
	must(a.UserAdd(ctx, "web", password))
	must(a.RoleAdd(ctx, "web"))
	must(a.RoleGrantPermission(ctx, "web", "/web", clientv3.GetPrefixRangeEnd("/web"), clientv3.PermissionType(clientv3.PermRead)))
	must(a.UserGrantRole(ctx, "web", "web"))
	must(a.AuthEnable(ctx))
	return &guarded{e}
}

// root does something as root, with a new login: an etcd client's own renewal
// never ends on 3.4, see login.
func (g *guarded) root(t *testing.T, do func(*clientv3.Client) error) {
	t.Helper()
	root, err := clientv3.New(clientv3.Config{Endpoints: []string{g.Plain()}, Username: "root", Password: password, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := do(root); err != nil {
		t.Fatal(err)
	}
}

func (g *guarded) put(t *testing.T, key, value string) {
	t.Helper()
	g.root(t, func(c *clientv3.Client) error {
		_, err := c.Put(t.Context(), key, value)
		return err
	})
}

func (g *guarded) grant(t *testing.T, from, to string) {
	t.Helper()
	g.root(t, func(c *clientv3.Client) error {
		_, err := c.RoleGrantPermission(t.Context(), "web", from, to, clientv3.PermissionType(clientv3.PermRead))
		return err
	})
}

func (g *guarded) revoke(t *testing.T, from, to string) {
	t.Helper()
	g.root(t, func(c *clientv3.Client) error {
		_, err := c.RoleRevokePermission(t.Context(), "web", from, to)
		return err
	})
}

func (g *guarded) setPassword(t *testing.T, password string) {
	t.Helper()
	g.root(t, func(c *clientv3.Client) error {
		_, err := c.UserChangePassword(t.Context(), "web", password)
		return err
	})
}

// web is a client of user web.
func (g *guarded) web(t *testing.T) *Client {
	t.Helper()
	return open(t, Config{Endpoints: []string{g.Endpoint()}, User: "web", Password: password})
}

// guards runs a test on an etcd with authentication of each version.
func guards(t *testing.T, f func(t *testing.T, g *guarded)) {
	t.Helper()
	t.Parallel()
	each(t, func(t *testing.T, v testenv.Version) { f(t, newGuarded(t, testenv.EtcdConfig{Version: v})) })
}

func TestCredentials(t *testing.T) {
	guards(t, func(t *testing.T, g *guarded) {
		at := []string{g.Endpoint()}
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
				ErrPermission, []string{`user "web"`, "denies reading /other:", "etcdctl role grant-permission ROLE read /other /other0"}},
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
					for _, want := range append(tc.says, g.Endpoint()) {
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
	})
}

// TestRoles changes what the user may read while feeds run.
func TestRoles(t *testing.T) {
	guards(t, func(t *testing.T, g *guarded) {
		c := g.web(t)
		c.every = 50 * time.Millisecond // nothing but the check can see that a right is gone
		fine, s := c.Subscribe([]string{"/web"}), c.Subscribe([]string{"/other"})
		holds(t, fine, "/web/x=1")
		fails(t, s, ErrPermission)
		// The very command that the error names.
		g.grant(t, "/other", "/other0")
		before := holds(t, s, "/other/x=1")
		g.revoke(t, "/other", "/other0")
		g.put(t, "/web/x", "2")
		fails(t, s, ErrPermission)
		if snap, _ := s.Current(); snap != before {
			t.Errorf("what was read before is gone: %s", show(snap))
		}
		holds(t, fine, "/web/x=2")
		g.grant(t, "/other", "/other0")
		holds(t, s, "/other/x=1")
	})
}

// TestSplitRole grants the key and what is below it, but not what lies between
// them, which a watch over both would span.
func TestSplitRole(t *testing.T) {
	guards(t, func(t *testing.T, g *guarded) {
		g.grant(t, "/split", "")
		g.grant(t, "/split/", "/split0")
		c := g.web(t)
		n := count(c)
		fine := c.Subscribe([]string{"/web"})
		holds(t, fine, "/web/x=1")
		s := c.Subscribe([]string{"/split"})
		holds(t, s, "/split/x=1")
		g.put(t, "/split", "self")
		g.put(t, "/web/x", "2")
		holds(t, s, "/split=self", "/split/x=1")
		holds(t, fine, "/web/x=2") // on the same stream, undisturbed
		if got := n.streams.Load(); got != 1 {
			t.Errorf("%d watch streams, want 1", got)
		}
	})
}

// TestTokenGone makes etcd forget the token that the shared stream began with.
func TestTokenGone(t *testing.T) {
	guards(t, func(t *testing.T, g *guarded) {
		c := g.web(t)
		n := count(c)
		one := c.Subscribe([]string{"/web"})
		holds(t, one, "/web/x=1")
		g.setPassword(t, password)
		two := c.Subscribe([]string{"/web/x", "/web/y"})
		holds(t, two, "/web/x=1")
		g.put(t, "/web/x", "2")
		holds(t, one, "/web/x=2")
		holds(t, two, "/web/x=2")
		if s := n.streams.Load(); s != 2 {
			t.Errorf("%d watch streams, want the old and a new one", s)
		}
	})
}

// TestTokenExpires has tokens of a second, as signed ones are made: nothing but
// time ends them.
func TestTokenExpires(t *testing.T) {
	t.Parallel()
	private, public := signingKey(t)
	each(t, func(t *testing.T, v testenv.Version) {
		g := newGuarded(t, testenv.EtcdConfig{Version: v,
			AuthToken: fmt.Sprintf("jwt,pub-key=%s,priv-key=%s,sign-method=RS256,ttl=1s", public, private)})
		c := g.web(t)
		n := count(c)
		one := c.Subscribe([]string{"/web"})
		holds(t, one, "/web/x=1")
		logins, deadline := n.logins.Load(), time.Now().Add(patience)
		for n.logins.Load() == logins {
			if _, err := c.Read(t.Context(), []string{"/web"}); err != nil {
				t.Fatal(err)
			}
			if time.Now().After(deadline) {
				t.Fatal("the token never expired")
			}
		}
		two := c.Subscribe([]string{"/web/x", "/web/y"}) // on a stream with the first token
		holds(t, two, "/web/x=1")
		g.put(t, "/web/x", "2")
		holds(t, one, "/web/x=2")
		holds(t, two, "/web/x=2")
	})
}

// TestLoginWhileDown opens with a user before etcd can be reached.
func TestLoginWhileDown(t *testing.T) {
	guards(t, func(t *testing.T, g *guarded) {
		p := testenv.NewProxy(t, g.Endpoint())
		p.Cut()
		c := open(t, Config{Endpoints: []string{p.Endpoint()}, User: "web", Password: password})
		s := c.Subscribe([]string{"/web"})
		fails(t, s, ErrUnavailable)
		p.Mend()
		holds(t, s, "/web/x=1")
	})
}

// TestPasswordFile changes the password in etcd first, in the file later.
func TestPasswordFile(t *testing.T) {
	guards(t, func(t *testing.T, g *guarded) {
		file := filepath.Join(t.TempDir(), "password")
		write := func(text string) {
			t.Helper()
			if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(file+".new", file); err != nil {
				t.Fatal(err)
			}
		}
		write(password + "\nand a second line")
		c := open(t, Config{Endpoints: []string{g.Endpoint()}, User: "web", PasswordFile: file})
		c.every = 50 * time.Millisecond // nobody else asks
		one, two := c.Subscribe([]string{"/web"}), c.Subscribe([]string{"/web/x"})
		holds(t, one, "/web/x=1")
		holds(t, two, "/web/x=1")
		g.setPassword(t, "other")
		fails(t, one, ErrCredentials)
		fails(t, two, ErrCredentials)
		write("other")
		g.put(t, "/web/x", "2")
		holds(t, one, "/web/x=2")
		holds(t, two, "/web/x=2")
	})
}

// TestWrongPasswordIsNoStorm: each login has etcd work for long (bcrypt), so what it has refused is not asked
// by each feed again and again. Another password is tried at once, and the same one after a moment.
func TestWrongPasswordIsNoStorm(t *testing.T) {
	guards(t, func(t *testing.T, g *guarded) {
		c := open(t, Config{Endpoints: []string{g.Endpoint()}, User: "web", Password: password + "!"})
		n := count(c)
		began := time.Now()
		for range 30 {
			if _, err := c.Read(t.Context(), []string{"/web"}); !errors.Is(err, ErrCredentials) {
				t.Fatalf("%v, want %v", err, ErrCredentials)
			}
		}
		if most := 1 + int64(time.Since(began)/refusedTime); n.logins.Load() > most {
			t.Errorf("%d logins for 30 reads in %v, want %d at most", n.logins.Load(), time.Since(began), most)
		}
		s := c.Subscribe([]string{"/web"})
		g.setPassword(t, password+"!")
		holds(t, s, "/web/x=1")
	})
}

// TestAuthTurned off and on, for a client that has a user and for one that does
// not.
func TestAuthTurned(t *testing.T) {
	guards(t, func(t *testing.T, g *guarded) {
		with, without := g.web(t), openAt(t, g.Endpoint())
		with.every, without.every = 50*time.Millisecond, 50*time.Millisecond // watches that are open stay
		one, two := with.Subscribe([]string{"/web"}), without.Subscribe([]string{"/web"})
		holds(t, one, "/web/x=1")
		fails(t, two, ErrCredentials)
		g.root(t, func(c *clientv3.Client) error {
			_, err := c.AuthDisable(t.Context())
			return err
		})
		put(t, g.Etcd, "/web/x", "2")
		holds(t, one, "/web/x=2")
		holds(t, two, "/web/x=2")
		three := with.Subscribe([]string{"/web/x", "/web/y"})
		holds(t, three, "/web/x=2")
		if _, err := g.Client().AuthEnable(t.Context()); err != nil {
			t.Fatal(err)
		}
		fails(t, two, ErrCredentials)
		g.put(t, "/web/x", "3")
		holds(t, one, "/web/x=3")
		holds(t, three, "/web/x=3")
	})
}

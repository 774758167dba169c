package source

import (
	"errors"
	"os"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/podreload/podreload/testenv"
)

// TestRotation renews everything on disk: the client's certificate by another
// authority, the server's by another one too.
func TestRotation(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v testenv.Version) {
		dir := t.TempDir()
		old, next, clients := newAuthority(t), newAuthority(t), newAuthority(t)
		serverCert, serverKey := old.issue(t, dir, "server", "127.0.0.1")
		cert, key := clients.issue(t, dir, "client")
		e := testenv.NewEtcdWith(t, testenv.EtcdConfig{Version: v, Cert: serverCert, Key: serverKey, ClientCA: clients.ca()})
		p := testenv.NewProxy(t, e.Endpoint())
		put(t, e, "/a", "1")
		c := open(t, Config{Endpoints: []string{p.Endpoint()}, CACert: old.ca(), Cert: cert, Key: key})
		s := c.Subscribe([]string{"/a"})
		holds(t, s, "/a=1")

		next.issue(t, dir, "server", "127.0.0.1")
		p.Cut()
		p.Mend()
		err := fails(t, s, ErrCredentials) // its authority is not known yet
		if !strings.Contains(err.Error(), "unknown authority") || !strings.Contains(err.Error(), "--cacert") {
			t.Errorf("%q does not say what is wrong", err)
		}
		writePEM(t, old.ca(), "CERTIFICATE", old.cert.Raw, next.cert.Raw)
		holds(t, s, "/a=1")

		// A certificate of nobody's is refused, until it is renewed.
		newAuthority(t).issue(t, dir, "client")
		p.Cut()
		p.Mend()
		fails(t, s, ErrCredentials)
		clients.issue(t, dir, "client")
		put(t, e, "/a", "2")
		holds(t, s, "/a=2")

		// A file that is gone stops new connections only, and says so.
		if err := os.Rename(old.ca(), old.ca()+".away"); err != nil {
			t.Fatal(err)
		}
		put(t, e, "/a", "3")
		holds(t, s, "/a=3")
		p.Cut()
		p.Mend()
		if err := fails(t, s, ErrCredentials); !strings.Contains(err.Error(), old.ca()) {
			t.Errorf("%q does not name the file", err)
		}
		if err := os.Rename(old.ca()+".away", old.ca()); err != nil {
			t.Fatal(err)
		}
		holds(t, s, "/a=3")
	})
}

// TestServerIsVerified has an etcd whose certificate is for another host: by
// name and by address, of which TLS itself tells the server the name only.
func TestServerIsVerified(t *testing.T) {
	t.Parallel()
	a, other := newAuthority(t), newAuthority(t)
	for _, tc := range []struct {
		name, host, endpoint string
		ca                   *authority
		says                 string // "": it is let in
	}{
		{"right address", "127.0.0.1", "127.0.0.1", a, ""},
		{"right name", "localhost", "localhost", a, ""},
		{"wrong address", "127.0.0.2", "127.0.0.1", a, "127.0.0.1"},
		{"name for an address", "localhost", "127.0.0.1", a, "127.0.0.1"},
		{"wrong name", "etcd.example", "localhost", a, "localhost"},
		{"wrong authority", "127.0.0.1", "127.0.0.1", other, "unknown authority"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			cert, key := a.issue(t, t.TempDir(), "server", tc.host)
			e := testenv.NewEtcdWith(t, testenv.EtcdConfig{Cert: cert, Key: key})
			endpoint := strings.Replace(e.Endpoint(), "127.0.0.1", tc.endpoint, 1)
			_, err := open(t, Config{Endpoints: []string{endpoint}, CACert: tc.ca.ca()}).Read(t.Context(), []string{"/a"})
			switch {
			case tc.says == "":
				if err != nil {
					t.Error(err)
				}
			case !errors.Is(err, ErrCredentials) || !strings.Contains(err.Error(), tc.says):
				t.Errorf("error %v, want one with %q", err, tc.says)
			}
		})
	}
}

// TestUserByCertificate lets the certificate's name be the user.
func TestUserByCertificate(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v testenv.Version) {
		a := newAuthority(t)
		dir := t.TempDir()
		cert, key := a.issue(t, dir, "server", "127.0.0.1")
		g := newGuarded(t, testenv.EtcdConfig{Version: v, Cert: cert, Key: key, ClientCA: a.ca()})
		cert, key = a.issue(t, dir, "web")
		c := open(t, Config{Endpoints: []string{g.Endpoint()}, CACert: a.ca(), Cert: cert, Key: key})
		s, denied := c.Subscribe([]string{"/web"}), c.Subscribe([]string{"/other"})
		holds(t, s, "/web/x=1")
		g.put(t, "/web/x", "2")
		holds(t, s, "/web/x=2")
		if err := fails(t, denied, ErrPermission); !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%q does not say who asked", err)
		}
		g.root(t, func(c *clientv3.Client) error {
			_, err := c.RoleGrantPermission(t.Context(), "web", "/other", "/other0", clientv3.PermissionType(clientv3.PermRead))
			return err
		})
		holds(t, denied, "/other/x=1")
	})
}

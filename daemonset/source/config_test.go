package source

import (
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podreload/podreload/testenv"
)

// selfSigned writes a certificate for 127.0.0.1 and its key.
func selfSigned(t *testing.T) (cert, key string) {
	t.Helper()
	a := newAuthority(t)
	return a.issue(t, a.dir, "server", "127.0.0.1")
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	cert, key := selfSigned(t)
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	plain, secure := []string{"http://127.0.0.1:1"}, []string{"https://127.0.0.1:1"}
	for _, tc := range []struct {
		name string
		cfg  Config
		says string // "": no error
	}{
		{"nothing", Config{}, "--endpoints"},
		{"empty endpoint", Config{Endpoints: []string{""}}, "--endpoints"},
		{"plain", Config{Endpoints: plain}, ""},
		{"host and port", Config{Endpoints: []string{"localhost:2379"}}, ""},
		{"mixed", Config{Endpoints: append(secure, plain...)}, "one scheme"},
		{"user in the endpoint", Config{Endpoints: []string{"http://me:secret@127.0.0.1:1"}}, "--user"},
		{"user only", Config{Endpoints: plain, User: "me"}, "--password-file"},
		{"no password file", Config{Endpoints: plain, User: "me", PasswordFile: "/none"}, "password file: open /none"},
		{"empty password file", Config{Endpoints: plain, User: "me", PasswordFile: empty}, "password file " + empty + ": its first line is empty"},
		{"password only", Config{Endpoints: plain, Password: "secret"}, "--user"},
		{"all files", Config{Endpoints: secure, CACert: cert, Cert: cert, Key: key}, ""},
		{"system authorities", Config{Endpoints: secure}, ""},
		{"certificates without TLS", Config{Endpoints: plain, CACert: cert}, "https://"},
		{"certificates without a scheme", Config{Endpoints: []string{"127.0.0.1:1"}, CACert: cert}, ""},
		{"no such authority", Config{Endpoints: secure, CACert: "/none.pem"}, "/none.pem"},
		{"empty authority", Config{Endpoints: secure, CACert: empty}, empty},
		{"certificate only", Config{Endpoints: secure, Cert: cert}, "--key"},
		{"key only", Config{Endpoints: secure, Key: key}, "--cert"},
		{"key only, without TLS", Config{Endpoints: plain, Key: key}, "--cert"},
		{"bad key", Config{Endpoints: secure, Cert: cert, Key: empty}, empty},
		{"bad certificate", Config{Endpoints: secure, Cert: "/none.pem", Key: key}, "/none.pem"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := Open(tc.cfg)
			if err == nil {
				c.Close()
			}
			switch {
			case (err == nil) != (tc.says == ""):
				t.Errorf("error %v, want one with %q", err, tc.says)
			case err != nil && !strings.Contains(err.Error(), tc.says):
				t.Errorf("%q does not say %q", err, tc.says)
			case err != nil && strings.Contains(err.Error(), "secret"):
				t.Errorf("%q has the password", err)
			}
		})
	}
}

func TestTLSTrouble(t *testing.T) {
	t.Parallel()
	cert, key := selfSigned(t)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.(*tls.Conn).Handshake()
			conn.Close()
		}
	}()
	other, _ := selfSigned(t)
	e := testenv.NewEtcd(t)
	for name, cfg := range map[string]Config{
		"unknown authority":    {Endpoints: []string{"https://" + l.Addr().String()}, CACert: other},
		"etcd without TLS":     {Endpoints: []string{strings.Replace(e.Endpoint(), "http", "https", 1)}, CACert: cert},
		"system's authorities": {Endpoints: []string{"https://" + l.Addr().String()}},
	} {
		_, err := open(t, cfg).Read(t.Context(), []string{"/a"})
		if !errors.Is(err, ErrCredentials) || !strings.Contains(err.Error(), "TLS") || !strings.Contains(err.Error(), "--cacert") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

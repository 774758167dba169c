package verify

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func preset(t testing.TB, name string) Preset {
	t.Helper()
	p, err := Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestCheckArgs(t *testing.T) {
	tests := []struct {
		preset string
		argv   []string
		want   []string
	}{
		{"nginx", []string{"nginx", "-c", "/x/nginx.conf", "-g", "daemon off;"}, []string{"nginx", "-t", "-c", "/x/nginx.conf", "-g", "daemon off;"}},
		{"nginx", []string{"/usr/sbin/nginx", "-qp/srv", "-s", "reload"}, []string{"/usr/sbin/nginx", "-t", "-p", "/srv"}},
		{"nginx", []string{"tini", "--", "nginx", "-g", "daemon off;"}, []string{"nginx", "-t", "-g", "daemon off;"}},
		{"nginx", []string{"/docker-entrypoint.sh"}, []string{"nginx", "-t"}},
		{"nginx", nil, []string{"nginx", "-t"}},
		{"nginx", []string{"nginx: master process"}, []string{"nginx", "-t"}},
		{"nginx", []string{"nginx: master process nginx"}, []string{"nginx", "-t"}},
		{"nginx", []string{"nginx: master process nginx -g daemon off;"}, []string{"nginx", "-t", "-g", "daemon off;"}},
		{
			"nginx", []string{"nginx: master process /usr/sbin/nginx -g daemon off; env A=-c  -p; pid /x; -p /my files -c /x/nginx.conf"},
			[]string{"/usr/sbin/nginx", "-t", "-g", "daemon off; env A=-c  -p; pid /x;", "-p", "/my files", "-c", "/x/nginx.conf"},
		},
		{"nginx", []string{"nginx: master process nginx -g daemon off; -p /srv/nginx"}, []string{"nginx", "-t", "-g", "daemon off;", "-p", "/srv/nginx"}},
		{"nginx", []string{"nginx: master process nginx -p /srv/nginx/"}, []string{"nginx", "-t", "-p", "/srv/nginx/"}},
		{"nginx", []string{"sh", "-c", "until [ -s /x ]; do sleep 1; done; exec /usr/sbin/nginx"}, []string{"nginx", "-t"}},
		{"nginx", []string{"nginx: master process nginx -e stderr -c"}, []string{"nginx", "-t", "-e", "stderr", "-c", ""}},
		{"haproxy", []string{"haproxy", "-W", "-db", "-f", "/etc/haproxy.cfg"}, []string{"haproxy", "-c", "-f", "/etc/haproxy.cfg"}},
		{
			"haproxy", []string{"haproxy", "-sf", "8", "12", "-x", "sockpair@3", "-Ws", "-S", "/run/m.sock,level,admin", "-L", "lb1", "-dr", "-f", "/a", "-f", "/b", "-p", "/run/pid", "-n", "100"},
			[]string{"haproxy", "-c", "-L", "lb1", "-dr", "-f", "/a", "-f", "/b"},
		},
		{"haproxy", []string{"haproxy", "-W", "-C", "/etc/haproxy", "--", "a.cfg", "-b.cfg"}, []string{"haproxy", "-c", "-C", "/etc/haproxy", "--", "a.cfg", "-b.cfg"}},
		{"apache", []string{"apache2", "-D", "FOREGROUND", "-k", "start", "-f", "/x"}, []string{"apache2", "-t", "-D", "FOREGROUND", "-f", "/x"}},
		{
			"apache", []string{"/usr/local/apache2/bin/httpd", "-DFOREGROUND", "-d/srv", "-e", "debug", "-C", "Define A b", "-c", "Listen 81", "-E/dev/stderr"},
			[]string{"/usr/local/apache2/bin/httpd", "-t", "-D", "FOREGROUND", "-d", "/srv", "-C", "Define A b", "-c", "Listen 81"},
		},
		{"apache", []string{"httpd-foreground"}, []string{"apache2", "-t"}},
		{"apache", []string{"httpd", "-f", "/x", "--", "-f", "/y"}, []string{"httpd", "-t", "-f", "/x"}},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.want, preset(t, test.preset).CheckArgs(test.argv)); diff != "" {
			t.Errorf("%s %q (-want +got):\n%s", test.preset, test.argv, diff)
		}
	}
}

// Whatever a master's command line says, the check stays a check, of words that
// were there.
func FuzzCheckArgs(f *testing.F) {
	f.Add(0, "nginx: master process nginx -g daemon off; -c")
	f.Add(1, "haproxy\x00-sf\x001\x00-W\x00-f\x00/a\x00--\x00b")
	f.Add(2, "httpd\x00-DFOREGROUND\x00-k\x00start\x00-\x00\x00-f")
	f.Fuzz(func(t *testing.T, n int, cmdline string) {
		p := presets[uint(n)%uint(len(presets))]
		args := p.CheckArgs(strings.Split(cmdline, "\x00"))
		if len(args) < 2 || !slices.Equal(args[1:2], p.Check) {
			t.Fatalf("%q", args)
		}
		for _, arg := range args[2:] {
			option := len(arg) == 2 && arg[0] == '-' && strings.Contains(p.Options.Config, arg[1:])
			if !option && !strings.Contains(cmdline, arg) {
				t.Fatalf("%q of %q is nowhere in %q", arg, args, cmdline)
			}
		}
	})
}

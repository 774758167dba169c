package template

import (
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/podreload/podreload/daemonset"
)

func TestDestAndWait(t *testing.T) {
	for _, bad := range []string{"", "a", "/", "/a/", "/a/../b", "//a", "/a//b", "/a/.", "/a\x00b", "/" + strings.Repeat("x", 4095)} {
		if checkDest(bad) == nil {
			t.Errorf("dest %.20q is taken", bad)
		}
	}
	if err := checkDest("/etc/nginx/conf.d/default.conf"); err != nil {
		t.Error(err)
	}
	for wait, want := range map[string][2]time.Duration{
		"0s": {}, "0s:0s": {}, "2s": {2 * time.Second, 8 * time.Second}, "1s : 1m": {time.Second, time.Minute}, "24h": {24 * time.Hour, 96 * time.Hour},
	} {
		quiet, longest, err := parseWait(wait)
		if err != nil || quiet != want[0] || longest != want[1] {
			t.Errorf("%s: %v %v %v", wait, quiet, longest, err)
		}
	}
	for _, bad := range []string{"", "1", "-1s", "2s:1s", "1s:", ":1s", "1s:2s:3s", "25h", "1s:25h", "0s:-1s", "2562047h"} {
		if _, _, err := parseWait(bad); err == nil {
			t.Errorf("wait %q is taken", bad)
		}
	}
}

func TestMode(t *testing.T) {
	for mode, want := range map[string]fs.FileMode{"0644": 0o644, "0o600": 0o600, "644": 0o204, "04755": 0o755, "0": 0, "0x1ff": 0o777} {
		got, err := parseMode(mode, func(string, string, ...any) {})
		if err != nil || *got != want {
			t.Errorf("%s: %v %v", mode, got, err)
		}
	}
}

func TestProfile(t *testing.T) {
	c := load(t, confdir(t, map[string]string{
		"templates/t": "x",
		"conf.d/web/nginx.toml": `[template]
src = "/t"
Dest = "/etc/nginx/nginx.conf"
prefix = "web/"
keys = ["/b", "a", "/a"]
mode = "0640"
uid = 0
gid = -1
reload_signal = "sighup"
mkdir = true
remove = true
[profile]
select = "app in (web, api), !canary"
namespaces = ["prod-*"]
process = "nginx"
check = "off"
wait = "1s"
signals = ["HUP", "SIGUSR1"]
allow_empty = true
max_draining = 4
`,
		"conf.d/web/deep/er/tls.toml": "[template]\nsrc = \"t\"\ndest = \"/etc/tls\"\nkeys = [\"/tls\"]\nsensitive = true\n",
		"conf.d/settings.toml":        "[profile]\nname = \"web\"\ncontainer = \"proxy\"\n",
	}))
	if len(c.Problems) > 0 || len(c.Profiles) != 1 {
		t.Fatal(c.Problems, c.Profiles)
	}
	p := profile(t, c, "web")
	mode, root, draining := fs.FileMode(0o640), uint32(0), 4
	want := &Profile{
		Name: "web", Select: "app in (web, api), !canary", Namespaces: []string{"prod-*"}, Process: "nginx",
		Container: "proxy", Check: "off", Wait: time.Second, WaitMax: 4 * time.Second,
		Signals: []string{"HUP", "USR1"}, AllowEmpty: true, MaxDraining: &draining,
		Resources: []*Resource{
			{Name: "web/deep/er/tls.toml", Src: "t", Dest: "/etc/tls", Prefix: "/", Keys: []string{"/tls"}, Sensitive: true},
			{
				Name: "web/nginx.toml", Src: "t", Dest: "/etc/nginx/nginx.conf", Prefix: "/web/", Keys: []string{"/b", "a", "/a"},
				Mode: &mode, UID: &root, ReloadSignal: "HUP", Mkdir: true, Remove: true,
			},
		},
	}
	options := []cmp.Option{
		cmpopts.IgnoreUnexported(Resource{}, Profile{}), cmpopts.IgnoreFields(Profile{}, "Selector"),
	}
	if diff := cmp.Diff(want, p, options...); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !p.Selector.Matches(labels.Set{"app": "api"}) || p.Selector.Matches(labels.Set{"app": "api", "canary": ""}) {
		t.Error("the selector does not select")
	}
	if diff := cmp.Diff([]string{"/tls", "/web/a", "/web/b"}, p.Keys()); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	if _, ok := c.Profile("no"); ok {
		t.Error("a profile that is not there")
	}
}

func TestGathering(t *testing.T) {
	c := load(t, confdir(t, map[string]string{
		"templates/t":            "x",
		"conf.d/nginx.toml":      strings.Replace(plain, "/etc/t", "/etc/n", 1),
		"conf.d/tls/certs.toml":  strings.Replace(plain, "/etc/t", "/etc/c", 1),
		"conf.d/tls/other.toml":  strings.Replace(plain, "/etc/t", "/etc/o", 1),
		"conf.d/podreload.toml":  "[profile]\nname = \"web\"\nresources = [\"tls/certs\", \"nginx.toml\"]\n",
		"conf.d/podreload2.toml": "[profile]\nname = \"api\"\nresources = [\"tls/certs\"]\n",
	}))
	got := map[string][]string{}
	for _, p := range c.Profiles {
		if p.Err != nil {
			t.Error(p.Err)
		}
		for _, r := range p.Resources {
			got[p.Name] = append(got[p.Name], r.Name)
		}
	}
	want := map[string][]string{"web": {"tls/certs.toml", "nginx.toml"}, "api": {"tls/certs.toml"}, "tls": {"tls/other.toml"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestProcess(t *testing.T) {
	tests := map[string]struct {
		toml    string
		process string
		check   string
		matcher *daemonset.Matcher
	}{
		"preset":      {`process = "haproxy"`, "haproxy", CheckPreset, nil},
		"apache":      {`process = "apache"`, "apache", CheckPreset, nil},
		"if possible": {"process = \"nginx\"\ncheck = \"if-possible\"", "nginx", CheckIfPossible, nil},
		"children": {`process = { exe = "unbound", signal = "sighup", success = "children" }`, "", CheckPreset,
			&daemonset.Matcher{Exe: []string{"unbound"}, Signal: "HUP", Success: daemonset.SuccessChildren}},
		"alive": {`process = { exe = ["a", "b"], signal = "USR1", success = "alive", after = "5s" }`, "", CheckPreset,
			&daemonset.Matcher{Exe: []string{"a", "b"}, Signal: "USR1", Success: daemonset.SuccessAlive, After: 5 * time.Second}},
		"alive for the usual time": {`process = { exe = "a", signal = "HUP", success = "alive" }`, "", CheckPreset,
			&daemonset.Matcher{Exe: []string{"a"}, Signal: "HUP", Success: daemonset.SuccessAlive, After: 2 * time.Second}},
		"table": {"[profile.process]\nexe = \"a\"\nsignal = \"HUP\"\nsuccess = \"none\"", "", CheckPreset,
			&daemonset.Matcher{Exe: []string{"a"}, Signal: "HUP", Success: daemonset.SuccessNone}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			text := plain + "[profile]\n" + test.toml + "\n"
			c := load(t, confdir(t, map[string]string{"templates/t": "x", "conf.d/w.toml": text}))
			p := profile(t, c, "w")
			if p.Err != nil {
				t.Fatal(p.Err)
			}
			if p.Process != test.process || p.Check != test.check {
				t.Errorf("process %q, check %q, want %q and %q", p.Process, p.Check, test.process, test.check)
			}
			if diff := cmp.Diff(test.matcher, p.Matcher); diff != "" {
				t.Errorf("matcher (-want +got):\n%s", diff)
			}
		})
	}
}

// check_cmd knows the file as .src; reload_cmd is literal unless it has "{{",
// and then knows it as .src and as .dest.
func TestCommands(t *testing.T) {
	for text, want := range map[string][2]string{
		"":                                    {"", ""},
		"nginx -t -c {{.src}}":                {"nginx -t -c /etc/t", "nginx -t -c /etc/t"},
		`{{with .src}}test -s "{{.}}"{{end}}`: {`test -s "/etc/t"`, `test -s "/etc/t"`},
		"cp {{.dest}} /x":                     {"cp <no value> /x", "cp /etc/t /x"}, // as in confd
		"a } $b %d":                           {"a } $b %d", "a } $b %d"},
		`{{printf "%s-%03d" .src 7}}{{js "a'b"}}`: {`/etc/t-007a\'b`, `/etc/t-007a\'b`},
	} {
		r := &Resource{Dest: "/etc/t", CheckCmd: text, ReloadCmd: text}
		if got, err := r.CheckCommand(); err != nil || got != want[0] {
			t.Errorf("check_cmd %s: %q, %v, want %q", text, got, err, want[0])
		}
		if got, err := r.ReloadCommand(); err != nil || got != want[1] {
			t.Errorf("reload_cmd %s: %q, %v, want %q", text, got, err, want[1])
		}
	}
	for _, text := range []string{
		`{{define "a"}}{{template "a"}}{{end}}{{template "a"}}`, `{{range 9000000000000000000}}{{end}}`, `{{range 100000}}.{{end}}`,
		`{{printf "%[1]*[1]d%[1]*[1]d%[1]*[1]d" 900000}}`, `{{getv "/x"}}`, "{{", "{{.src",
	} {
		r := &Resource{Dest: "/etc/t", CheckCmd: text, ReloadCmd: text}
		if got, err := r.CheckCommand(); err == nil {
			t.Errorf("%s gives %q", text, got)
		}
		if got, err := r.ReloadCommand(); err == nil {
			t.Errorf("%s gives %q", text, got)
		}
	}
}

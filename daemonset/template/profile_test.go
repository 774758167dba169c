package template

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/podreload/podreload/daemonset"
)

func TestDestAndWait(t *testing.T) {
	for _, bad := range []string{
		"", "a", "./a", "a//b", "/", "//", "/a/", "/a//", "/a/../b", "/a//../b", "/..", "/a/..", "/a/.", "/a//.", "/.", "/a\x00b", "/" + strings.Repeat("x", 4095),
	} {
		if clean, err := cleanDest(bad); err == nil {
			t.Errorf("dest %.20q is taken as %.20q", bad, clean)
		}
	}
	for dest, want := range map[string]string{
		"/etc/nginx/conf.d/default.conf":   "/etc/nginx/conf.d/default.conf",
		"/etc/nginx//conf.d/a.conf":        "/etc/nginx/conf.d/a.conf",
		"//etc///nginx/./conf.d/.//a.conf": "/etc/nginx/conf.d/a.conf",
		"/./a":                             "/a",
		"/a/...":                           "/a/...",
		"/a/..b/.c":                        "/a/..b/.c",
		strings.Repeat("/", 5000) + "a":    "/a",
	} {
		if got, err := cleanDest(dest); err != nil || got != want {
			t.Errorf("dest %.40q: %q, %v, want %q", dest, got, err, want)
		}
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
splay = "30s"
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
		Container: "proxy", Check: "off", Wait: time.Second, WaitMax: 4 * time.Second, Splay: 30 * time.Second,
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

// A plain confd tree of several resources becomes one profile by one more file;
// nothing else is edited.
func TestGatherConfdTree(t *testing.T) {
	files := map[string]string{}
	err := filepath.WalkDir("testdata/golden/confd", func(name string, d os.DirEntry, err error) error {
		if rel, _ := filepath.Rel("testdata/golden/confd", name); err == nil && !d.IsDir() && !strings.HasPrefix(rel, "want") {
			data, err := os.ReadFile(name)
			files[rel] = string(data)
			return err
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	files["conf.d/podreload.toml"] = "[profile]\nname = \"web\"\nresources = [\"myconfig\", \"/none.toml\", \"conf.d/sub/list\"]\n"
	c := load(t, confdir(t, files))
	if len(c.Problems) > 0 || len(c.Profiles) != 1 {
		t.Fatal(c.Problems, c.Profiles)
	}
	kv := readKeys(t, "testdata/golden/confd/keys.txt")
	rendered, err := profile(t, c, "web").Render(kv, someFacts)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range rendered {
		got[strings.TrimSuffix(f.Resource, ".toml")+f.Path] = string(f.Data)
	}
	want := readTree(t, "testdata/golden/confd/want", nil)
	want["sub/list/tmp/list"] = want["sub/tmp/list"]
	delete(want, "sub/tmp/list")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestGatheringProblems(t *testing.T) {
	tree := map[string]string{"templates/t": "x", "conf.d/own.toml": strings.Replace(plain, "/etc/t", "/own", 1) + "[profile]\n"}
	for _, name := range []string{"web/nginx", "web/tls", "api/nginx", "single"} {
		tree["conf.d/"+name+".toml"] = strings.Replace(plain, "/etc/t", "/"+name, 1)
	}
	for resource, want := range map[string]string{
		"web":           `resources: no conf.d/web.toml; did you mean "web/nginx", "web/tls"?`,
		"tls":           `resources: no conf.d/tls.toml; did you mean "web/tls"?`,
		"nginx":         `resources: no conf.d/nginx.toml; did you mean "api/nginx", "web/nginx"?`,
		"web/ngnix":     `resources: no conf.d/web/ngnix.toml; did you mean "web/nginx"?`,
		"singel.toml":   `resources: no conf.d/singel.toml; did you mean "single"?`,
		"nothing":       `resources: no conf.d/nothing.toml`,
		"":              `resources: no conf.d/.toml`,
		"own":           `resources: conf.d/own.toml has a [profile] of its own`,
		"/single.toml/": `resources: "/single.toml/" is the second that names conf.d/single.toml`,
	} {
		tree["conf.d/all.toml"] = fmt.Sprintf("[profile]\nresources = [\"single\", %q]\n", resource)
		p := profile(t, load(t, confdir(t, tree)), "all")
		if p.Err == nil || p.Err.Error() != "conf.d/all.toml:2:1: "+want {
			t.Errorf("%s: %v, want %s", resource, p.Err, want)
		}
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

// What confd's fork says of one resource is said of the profile: its quiet
// period is a true one, with a ceiling, and the longest counts.
func TestForkFields(t *testing.T) {
	one := plain + "debounce = \"500ms\"\nmin_reload_interval = \"1m\"\ncheck_cmd_timeout = \"3s\"\nreload_cmd_timeout = \"4s\"\noutput_format = \"JSON\"\nowner = \"www-data\"\ngroup = \"adm\"\nuid = 33\n"
	two := strings.Replace(plain, "/etc/t", "/etc/u", 1) + "debounce = \"2s\"\nmin_reload_interval = \"0s\"\n"
	for name, tt := range map[string]struct {
		profile       string
		wait, longest time.Duration
	}{
		"debounce": {"", 2 * time.Second, 8 * time.Second},
		"wait":     {"[profile]\nwait = \"1s\"\n", time.Second, 4 * time.Second},
		"no wait":  {"[profile]\nwait = \"0s\"\n", 0, 0},
	} {
		c := load(t, confdir(t, map[string]string{"templates/t": "{}", "conf.d/w/1.toml": one + tt.profile, "conf.d/w/2.toml": two}))
		p := profile(t, c, "w")
		if len(c.Problems) > 0 || p.Wait != tt.wait || p.WaitMax != tt.longest || p.MinReloadInterval != time.Minute {
			t.Errorf("%s: wait %v:%v, interval %v; %v", name, p.Wait, p.WaitMax, p.MinReloadInterval, c.Problems)
		}
		r := p.Resources[0]
		if r.Debounce != 500*time.Millisecond || r.CheckTimeout != 3*time.Second || r.ReloadTimeout != 4*time.Second || r.OutputFormat != "json" {
			t.Errorf("%+v", r)
		}
		// A number comes before a name.
		files, err := p.Render(snapshot{}, someFacts)
		if err != nil || files[0].Owner != "" || files[0].Group != "adm" || *files[0].UID != 33 || files[1].Group != "" {
			t.Errorf("%+v, %v", files, err)
		}
	}
}

// A resource with keys = [] renders; in confd -watch it never does.
func TestNoKeysRenders(t *testing.T) {
	for _, keys := range []string{"keys = []\n", ""} {
		c := load(t, confdir(t, map[string]string{
			"templates/t":   `{{getv "/a" "none"}} {{ls "/"}} {{gets "/*"}} {{getenv "SET"}}`,
			"conf.d/w.toml": strings.Replace(plain, "keys = [\"/\"]\n", keys, 1),
		}))
		p := profile(t, c, "w")
		files, err := p.Render(snapshot{"/a": "x"}, someFacts)
		if err != nil || string(files[0].Data) != "none [] [] value" || len(p.Keys()) != 0 {
			t.Errorf("%q: %v, %v", keys, files, err)
		}
	}
}

// check_cmd knows the file as .src; reload_cmd is literal unless it has "{{",
// and then knows it as .src and as .dest.
func TestCommands(t *testing.T) {
	for text, want := range map[string][2]string{
		"":                                    {"", ""},
		"nginx -t -c {{.src}}":                {"nginx -t -c /etc/t", "nginx -t -c /etc/t"},
		`{{with .src}}test -s "{{.}}"{{end}}`: {`test -s "/etc/t"`, `{{with .src}}test -s "{{.}}"{{end}}`},
		"cp {{.dest}} /x{{ .src -}} y":        {"cp <no value> /x/etc/ty", "cp /etc/t /x/etc/t y"}, // as in confd
		"a } $b %d {{ {{x}}":                  {"", "a } $b %d {{ {{x}}"},
		`{{printf "%s-%03d" .src 7}}{{js "a'b"}}`: {`/etc/t-007a\'b`, `{{printf "%s-%03d" .src 7}}{{js "a'b"}}`},
		"docker inspect --format '{{.ID}}'":       {"docker inspect --format '<no value>'", "docker inspect --format '{{.ID}}'"},
	} {
		r := &Resource{Dest: "/etc/t", CheckCmd: text, ReloadCmd: text}
		if got, err := r.CheckCommand(); got != want[0] || err != nil && want[0] != "" {
			t.Errorf("check_cmd %s: %q, %v, want %q", text, got, err, want[0])
		}
		if got := r.ReloadCommand(); got != want[1] {
			t.Errorf("reload_cmd %s: %q, want %q", text, got, want[1])
		}
	}
	for _, text := range []string{
		`{{define "a"}}{{template "a"}}{{end}}{{template "a"}}`, `{{range 9000000000000000000}}{{end}}`, `{{range 100000}}.{{end}}`,
		`{{printf "%[1]*[1]d%[1]*[1]d%[1]*[1]d" 900000}}`, `{{getv "/x"}}`, "{{", "{{.src",
	} {
		r := &Resource{Dest: "/etc/t", CheckCmd: text}
		if got, err := r.CheckCommand(); err == nil {
			t.Errorf("%s gives %q", text, got)
		}
	}
}

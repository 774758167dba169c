package template

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Any bytes in conf.d give a profile or a problem, never a panic, and a file
// that is taken has what the agent relies on.
func FuzzResource(f *testing.F) {
	f.Add([]byte(plain))
	f.Add([]byte(plain + "[profile]\nselect = \"a=b\"\nwait = \"1s:2s\"\nsignals = [\"HUP\"]\nresources = [\"x\"]\n"))
	f.Add([]byte("profile = { name = \"x\", wait = \"\", a.b = { c = [{}] } }\n[[template]]\n"))
	f.Add([]byte(plain + "check_cmd = \"{{.src}}\"\n[profile]\nprocess = { exe = [\"a\"], signal = \"HUP\", success = \"alive\", after = \"2s\" }\nmax_draining = 2\n"))
	f.Add([]byte(overPod))
	f.Add([]byte(plain + "owner = \"x\"\noutput_format = \"json\"\ndebounce = \"1s\"\nreload_cmd = \"{{.dest}}\"\n[backend]\nnodes = []\n"))
	f.Add([]byte("[template]\nmode = \"08\"\nuid = 1e3\n\"\" = 1\n'tem plate'.x = 2\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := &file{name: "conf.d/x/y.toml"}
		r.parse(data)
		for _, p := range r.problems {
			if p.Message == "" || p.File == "" || p.Line < 0 || p.Line > strings.Count(string(data), "\n")+1 {
				t.Fatalf("problem %+v", p)
			}
		}
		for _, g := range group([]*file{r}) {
			p, _ := g.profile()
			if p.Err != nil {
				continue
			}
			for _, res := range p.Resources {
				if !path.IsAbs(res.Dest) || path.Clean(res.Dest) != res.Dest && !res.usesPod(true) || !filepath.IsLocal(res.Src) || res.Prefix[0] != '/' {
					t.Fatalf("resource %+v", res)
				}
			}
			if _, err := p.Bind(someFacts); err != nil && !p.UsesPod() {
				t.Fatalf("a profile without problems is not bound: %v", err)
			}
			if p.KeysUsePod() && p.Namespaces == nil {
				t.Fatalf("any pod chooses the keys of %+v", p)
			}
			if len(p.Resources) == 0 || p.WaitMax < p.Wait || p.Check == "" || p.MaxDraining != nil && *p.MaxDraining < 1 {
				t.Fatalf("profile %+v", p)
			}
			if m := p.Matcher; m != nil && (p.Process != "" || len(m.Exe) == 0 || m.Signal == "" || m.Success == "") {
				t.Fatalf("matcher %+v", m)
			}
		}
	})
}

// Any template over any value ends, with a file or with an error.
func FuzzRender(f *testing.F) {
	for _, dir := range []string{"confd", "web", "fork"} {
		names, _ := filepath.Glob("testdata/golden/" + dir + "/templates/*.tmpl")
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(text), "/a/b", "1")
		}
	}
	f.Add(`{{define "a"}}{{template "a" .}}{{end}}{{template "a" printf "%d" 1}}`, "/", "")
	f.Add(`{{range $k, $v := json (getv "/a")}}{{$k}}{{map $k $v}}{{end}}`, "/a", `{"a":[{}]}`)
	f.Add(`{{$x := "a"}}{{range seq 1 100}}{{$x = printf "%s%s" $x $x}}{{end}}`, "/a", "")
	for _, text := range []string{
		`{{include "t"}}{{include (getv "/a") 1}}`, `{{$l := list}}{{range seq 1 99}}{{$l = append $l $l}}{{end}}{{toPrettyJson $l}}`,
		`{{fileExists "/x"}}{{lookupSRV "a" "b" "c"}}{{reverse (lookupIP "h")}}{{label "app" | repeat 9 | indent 3 | quote}}`,
		`{{regexReplaceAll "(a|b)*?" (getv "/a") "$1"}}{{regexFind (getv "/a") "x"}}{{camelcase (getv "/a") | snakecase}}`,
		`{{printf "%[1]*[2]s%v%#v" 9 (getv "/a") (dict "k" (list nil 1.5))}}{{pluck "k" (fromJson (getv "/a"))}}`,
	} {
		f.Add(text, "/a", `{"k":["x"]}`)
	}
	f.Fuzz(func(t *testing.T, text, key, value string) {
		tmpl, err := parseTemplate("t", text)
		if err != nil {
			if line, message := parseProblem("t", err); line < 0 || message == "" {
				t.Fatalf("%q: %d %q", err, line, message)
			}
			return
		}
		p := &Profile{Name: "p", Resources: []*Resource{{
			Src: "t", Prefix: "/", Keys: []string{"/"}, tmpl: tmpl, limits: limits{bytes: 1 << 20, time: 100 * time.Millisecond, memory: maxHeld},
			library: &library{files: map[string]*templateFile{"t": {name: "t", tmpl: tmpl}}},
		}}}
		facts := someFacts
		facts.Inside = &fakeInside{}
		begin := time.Now()
		files, err := p.Render(snapshot{key: value, "/k": "v"}, facts)
		if took := time.Since(begin); took > 20*time.Second {
			t.Fatalf("it took %v", took)
		}
		if (err == nil) != (len(files) == 1) {
			t.Fatalf("%d files, %v", len(files), err)
		}
		if err != nil && err.Error() == "" {
			t.Fatal("an error without words")
		}
	})
}

// A command of a resource is made, or an error says why not.
func FuzzCommand(f *testing.F) {
	for _, text := range []string{"nginx -t -c {{.src}}", `{{printf "%s" .dest | js}}`, "{{range 99999999}}{{end}}", `{{define "a"}}{{template "a"}}{{end}}{{template "a"}}`, "{{", "}}"} {
		f.Add(text, "/etc/t")
	}
	f.Fuzz(func(t *testing.T, text, dest string) {
		r := &Resource{Dest: dest, CheckCmd: text, ReloadCmd: text}
		for _, make := range []func() (string, error){r.CheckCommand, func() (string, error) { return r.ReloadCommand(), nil }} {
			command, err := make()
			if err != nil && err.Error() == "" || err == nil && len(command) > max(maxCommand.bytes, len(text)) {
				t.Fatalf("%q, %v", command, err)
			}
			if !strings.Contains(text, "{{") && command != text {
				t.Fatalf("plain text becomes %q", command)
			}
		}
	})
}

// Paths that are taken lead where they say.
func FuzzPath(f *testing.F) {
	for _, p := range []string{"/etc/nginx/nginx.conf", "a/../../b", "//a", "/a/.", "..", "/a\x00", ".../x", "/", ""} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if src, err := cleanSrc(p); err == nil && (!filepath.IsLocal(src) || path.Clean(src) != src || strings.ContainsRune(src, 0)) {
			t.Fatalf("src %q becomes %q", p, src)
		}
		if name, err := cleanInclude(p); err == nil && strings.HasPrefix(path.Join("templates", name), "templates/") == strings.HasPrefix(name, "../") {
			t.Fatalf("include %q becomes %q", p, name)
		}
		if dest, err := cleanDest(p); err == nil && (!path.IsAbs(p) || path.Clean(p) != dest || dest == "/" || strings.ContainsRune(dest, 0)) {
			t.Fatalf("dest %q becomes %q", p, dest)
		}
	})
}

// The store against a plain reading of what confd does: a map, and paths cut
// into their terms.
func FuzzStore(f *testing.F) {
	f.Add("/a/b,/a/b/c,/a,/top,/a-b/c", "/a", "/", "/ x")
	f.Add("/w/x//y,/w/x/y/,/w/x/y,/w,/ww/x,w/x", "/x", "/w", "/ x")
	f.Add("/,//,/a/../b,/..", "/a//b", "/a/", "/ x")
	f.Add("/a/b,/a/c/d", "/a/*", "//a", "/ x")
	f.Add("/w/a/b,/w/a-b/c,/w/a,/w/ab,/x", "/a/*", "/w/", "/ x")
	f.Add("/w,/w/w,/w/w/x,/", "/", "/w/", "/ x")
	f.Add("//,//x,/x", "/x", "//", "/ x")
	f.Add("/w/a/b,/w/a-b/c,/w/a,/w/c", "/*", "/w", "a a-b")
	f.Add("/w/a/b,/w/a-b/c,/w/a,/w/c,/v", "/*", "/w", "../v a")
	f.Fuzz(func(t *testing.T, list, arg, prefix, keys string) {
		if !strings.HasPrefix(prefix, "/") {
			prefix = "/" + prefix
		}
		kv := snapshot{}
		for i, k := range strings.Split(list, ",") {
			if kv[k] = "v" + k; i == 50 {
				break // the model is slow
			}
		}
		r := &Resource{Prefix: prefix, Keys: strings.Split(keys, " ")}
		want := termStore{}
		for k := range kv {
			for _, key := range r.absoluteKeys() {
				if k == key && k != "/" || strings.HasPrefix(k, strings.TrimSuffix(key, "/")+"/") {
					want[path.Join("/", strings.TrimPrefix(k, prefix))] = true
				}
			}
		}
		stores := map[string]*store{"sorted": {newSorted(kv, r), prefix}}
		if d := newDirect(kv, r); d != nil {
			stores["direct"] = &store{d, prefix}
		}
		for name, s := range stores {
			want.compare(t, name, s, arg)
			for k := range want { // and with what is there, not only what the fuzzer guesses
				want.compare(t, name, s, k)
				want.compare(t, name, s, path.Dir(k))
				want.compare(t, name, s, path.Dir(k)+"/*")
			}
			if value, ok := s.find(arg); ok && stores["direct"] != nil {
				if v, _ := stores["sorted"].find(arg); v != value {
					t.Fatalf("%s: %q is %q, not %q", name, arg, value, v)
				}
			}
		}
	})
}

type termStore map[string]bool

func (s termStore) compare(t *testing.T, name string, got *store, arg string) {
	t.Helper()
	var keys []string
	for k := range got.below("/") {
		keys = append(keys, k)
	}
	if diff := cmp.Diff(sortedKeys(s), keys); diff != "" {
		t.Fatalf("%s: keys (-want +got):\n%s", name, diff)
	}
	ls, _ := got.ls(arg)
	if diff := cmp.Diff(s.ls(arg), ls); diff != "" {
		t.Fatalf("%s: ls %q of %q (-want +got):\n%s", name, arg, keys, diff)
	}
	lsdir, _ := got.lsdir(arg)
	if diff := cmp.Diff(s.lsdir(arg), lsdir); diff != "" {
		t.Fatalf("%s: lsdir %q of %q (-want +got):\n%s", name, arg, keys, diff)
	}
	pairs, err := got.gets(arg)
	var matches []string
	for _, p := range pairs {
		matches = append(matches, p.Key)
	}
	wantMatches, wantErr := s.gets(arg)
	if diff := cmp.Diff(wantMatches, matches); diff != "" || (err == nil) != (wantErr == nil) {
		t.Fatalf("%s: gets %q of %q: %v, want %v (-want +got):\n%s", name, arg, keys, err, wantErr, diff)
	}
	if _, err := got.get(arg); (err == nil) != s[arg] || got.exists(arg) != s[arg] {
		t.Fatalf("%s: get %q: %v", name, arg, err)
	}
}

// under gives the terms of key's folder that follow those of dir.
func under(key, dir string) (rest []string, ok bool) {
	k, d := strings.Split(path.Dir(key), "/"), strings.Split(path.Clean(dir), "/")
	if path.Dir(key) == "/" {
		k = []string{"", ""}
	}
	if len(k) < len(d) || !slices.Equal(k[:len(d)], d) {
		return nil, false
	}
	return k[len(d):], true
}

func (s termStore) ls(dir string) []string {
	names := map[string]bool{}
	for key := range s {
		if key == dir {
			names[path.Base(key)] = true
		} else if _, ok := under(key, dir); ok {
			rest := strings.TrimPrefix(strings.TrimPrefix(key, dir), "/")
			names[strings.Split(rest, "/")[0]] = true
		}
	}
	return append([]string{}, sortedKeys(names)...)
}

func (s termStore) lsdir(dir string) []string {
	names := map[string]bool{}
	for key := range s {
		if rest, ok := under(key, dir); ok && len(rest) > 0 && strings.HasPrefix(key, dir) {
			names[rest[0]] = true
		}
	}
	return append([]string{}, sortedKeys(names)...)
}

func (s termStore) gets(pattern string) (keys []string, err error) {
	for _, key := range sortedKeys(s) {
		ok, err := path.Match(pattern, key)
		if err != nil {
			return nil, err
		}
		if ok {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

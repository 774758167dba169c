package template

import (
	"fmt"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podreload/podreload/daemonset"
)

const overPod = `[template]
src = "t"
dest = '/etc/{{ label "app" }}/{{container}}.conf'
prefix = 'services/{{ namespace }}/{{ label "app" }}'
keys = ["/port", '/by-node/{{ node }}', '/{{"note" | annotation}}', '/{{- pod -}}/x']
check_cmd = "check {{.src}}"
reload_cmd = "reload {{.dest}}"
[profile]
namespaces = ["prod-*"]
`

func podFacts(labels, annotations map[string]string) Facts {
	return Facts{
		Pod:       daemonset.Pod{Name: "web-0", Namespace: "prod-1", Labels: labels, Annotations: annotations},
		Container: "nginx", Node: "n.example.org",
	}
}

// One profile serves many applications: each pod reads its own keys into its
// own files.
func TestBind(t *testing.T) {
	c := load(t, confdir(t, map[string]string{
		"conf.d/w/a.toml": overPod, "conf.d/w/b.toml": strings.Replace(plain, `"/"`, `"/common"`, 1),
		"templates/t": `{{range gets "/*"}}{{.Key}}={{.Value}} {{end}}`,
	}))
	if len(c.Problems) > 0 {
		t.Fatal(c.Problems)
	}
	p := profile(t, c, "w")
	if !p.UsesPod() || !p.KeysUsePod() {
		t.Error("the profile does not know that it uses the pod")
	}
	facts := podFacts(map[string]string{"app": "shop"}, map[string]string{"note": "x"})
	b, err := p.Bind(facts)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"/common", "/services/prod-1/shop/by-node/n.example.org", "/services/prod-1/shop/port", "/services/prod-1/shop/web-0/x", "/services/prod-1/shop/x"}
	if diff := cmp.Diff(want, b.Keys()); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	kv := snapshot{"/services/prod-1/shop/port": "80", "/services/prod-1/shop-2/port": "81", "/services/prod-1/shop/other": "no", "/common": "c", "/common/x": "y"}
	rendered, err := b.Render(kv, facts)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range rendered.Files {
		got[f.Path] = string(f.Data)
	}
	if diff := cmp.Diff(map[string]string{"/etc/shop/nginx.conf": "/port=80 ", "/etc/t": "/common=c "}, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	check, _ := b.Resources[0].CheckCommand()
	reload := b.Resources[0].ReloadCommand()
	if check != "check /etc/shop/nginx.conf" || reload != "reload /etc/shop/nginx.conf" {
		t.Errorf("commands are %q and %q", check, reload)
	}
	if p.Resources[0].Dest != `/etc/{{ label "app" }}/{{container}}.conf` || b.Profile != p {
		t.Error("binding changed the profile")
	}

	// Pods whose values are equal share, others do not.
	same, _ := p.Bind(podFacts(map[string]string{"app": "shop", "other": "y"}, map[string]string{"note": "x"}))
	other, _ := p.Bind(podFacts(map[string]string{"app": "shop2"}, map[string]string{"note": "x"}))
	if same.ID() != b.ID() || other.ID() == b.ID() {
		t.Errorf("IDs: %q, %q, %q", b.ID(), same.ID(), other.ID())
	}
}

// Doubled slashes mean nothing in a dest, as in confd: whoever sees it sees the plain path.
func TestBindDest(t *testing.T) {
	for dest, want := range map[string]string{
		`/srv//x`:                              "/srv/x",
		`/srv//{{ label "app" }}/x`:            "/srv/shop/x",
		`//srv/{{ label "app" }}//./{{ pod }}`: "/srv/shop/web-0",
		`/srv/.{{ label "app" }}`:              "/srv/.shop",
	} {
		for _, prefix := range []string{"/p", "/{{ namespace }}"} {
			toml := fmt.Sprintf("[template]\nsrc = 't'\ndest = '%s'\nprefix = '%s'\nkeys = ['/']\nreload_cmd = 'r {{.dest}}'\n[profile]\nnamespaces = ['prod-*']\n", dest, prefix)
			c := load(t, confdir(t, map[string]string{"conf.d/w.toml": toml, "templates/t": "x"}))
			if len(c.Problems) > 0 {
				t.Fatal(c.Problems)
			}
			facts := podFacts(map[string]string{"app": "shop"}, nil)
			b, err := profile(t, c, "w").Bind(facts)
			if err != nil {
				t.Fatal(err)
			}
			rendered, err := b.Render(snapshot{}, facts)
			if err != nil {
				t.Fatal(err)
			}
			got := []string{b.Resources[0].Dest, rendered.Files[0].Path, b.Resources[0].ReloadCommand()}
			if diff := cmp.Diff([]string{want, want, "r " + want}, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", dest, diff)
			}
		}
	}
}

// A profile that takes nothing from the pod is bound once for all.
func TestBindLiteral(t *testing.T) {
	c := load(t, confdir(t, map[string]string{"conf.d/w.toml": plain, "templates/t": "x"}))
	p := profile(t, c, "w")
	a, err := p.Bind(Facts{})
	if err != nil {
		t.Fatal(err)
	}
	b, _ := p.Bind(someFacts)
	if a != b || a.ID() != b.ID() || p.UsesPod() || !cmp.Equal(a.Keys(), p.Keys()) {
		t.Errorf("%v, %v", a, b)
	}
}

// A pod can never reach a key or a file that its profile's author did not mean.
func TestBindTricks(t *testing.T) {
	c := load(t, confdir(t, map[string]string{"conf.d/w.toml": overPod, "templates/t": "x"}))
	p := profile(t, c, "w")
	for _, value := range []string{
		"", ".", "..", "../x", "a/../../b", "a/b", "/", "/a", "a/", "-a", "a-", ".a", "a.", "_a", "a_", "a b", "a\x00", "a\nb", "a\n", "é", "a\u202eb",
		"a*", "a?", "[a]", "a\\", "{{pod}}", "%2e%2e", "a%2fb", "a:b", "~", "$a", strings.Repeat("a", 254),
	} {
		b, err := p.Bind(podFacts(map[string]string{"app": value}, map[string]string{"note": "x"}))
		if err == nil {
			t.Errorf("label %q is taken: %q", value, b.Keys())
		} else if s := err.Error(); !strings.HasPrefix(s, "profile w, resource w.toml: prefix: ") || !strings.Contains(s, `label "app"`) || strings.Contains(s, "\x00") {
			t.Errorf("label %q: %q", value, s)
		}
		if _, err := p.Bind(podFacts(map[string]string{"app": "x"}, map[string]string{"note": value})); err == nil || !strings.Contains(err.Error(), `keys: `) {
			t.Errorf("annotation %q: %v", value, err)
		}
	}
	for _, value := range []string{"a", "0", "a..b", "a.b-c_d", "A--b", strings.Repeat("a", 253)} {
		b, err := p.Bind(podFacts(map[string]string{"app": value}, map[string]string{"note": "x"}))
		if err != nil {
			t.Errorf("label %q: %v", value, err)
			continue
		}
		for _, k := range b.Keys() {
			if !strings.HasPrefix(k, "/services/prod-1/"+value+"/") {
				t.Errorf("label %q reaches %s", value, k)
			}
		}
	}
	for name, facts := range map[string]Facts{
		"no label": podFacts(nil, nil), "no pod": {}, "no node": {Pod: podFacts(nil, nil).Pod, Container: "c"},
	} {
		if _, err := p.Bind(facts); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	long := podFacts(map[string]string{"app": "x"}, map[string]string{"note": "x"})
	long.Pod.Name = "../etc"
	if _, err := p.Bind(long); err == nil {
		t.Error("a name that the runtime could not have given is taken")
	}
}

// Two files that become one for a pod are an error for that pod.
func TestBindSameDest(t *testing.T) {
	dest := func(d string) string { return strings.Replace(plain, "/etc/t", d, 1) }
	c := load(t, confdir(t, map[string]string{
		"templates/t":     "x",
		"conf.d/w/a.toml": strings.ReplaceAll(dest(`/etc/{{label 'app'}}`), "'", "`"), "conf.d/w/b.toml": dest("/etc/main"),
	}))
	p := profile(t, c, "w")
	if p.Err != nil {
		t.Fatal(p.Err)
	}
	if _, err := p.Bind(podFacts(map[string]string{"app": "x"}, nil)); err != nil {
		t.Error(err)
	}
	_, err := p.Bind(podFacts(map[string]string{"app": "main"}, nil))
	if err == nil || err.Error() != "profile w, resource w/b.toml: dest: /etc/main is that of w/a.toml too, for this pod" {
		t.Errorf("%v", err)
	}
	if p.KeysUsePod() {
		t.Error("a dest is no key")
	}
}

func TestPodTextProblems(t *testing.T) {
	for text, want := range map[string]string{
		`{{ label "app" }`:                  `unexpected "}" in operand`,
		`{{ label }}`:                       "label takes 1 arguments and gets 0",
		`{{ pod "x" }}`:                     "pod takes 0 arguments and gets 1",
		`{{ "x" | pod }}`:                   "pod takes 0 arguments and gets 1",
		`{{ label "a" "b" }}`:               "label takes 1 arguments and gets 2",
		`{{ lable "a" }}`:                   `function "lable" not defined here; did you mean "label"?`,
		`{{ getenv "HOME" }}`:               `function "getenv" not defined here`,
		`{{ printf "%s" pod }}`:             `function "printf" not defined here`,
		`{{ "x" }}`:                         "only text and calls",
		`{{ .Name }}`:                       "only text and calls",
		`{{ label .Name }}`:                 "only text and calls",
		`{{ label (pod) }}`:                 "only text and calls",
		`{{ $x := pod }}{{ $x }}`:           "only text and calls",
		`{{ if pod }}x{{ end }}`:            "only text and calls",
		`{{ range pod }}x{{ end }}`:         "only text and calls",
		`{{ with pod }}x{{ end }}`:          "only text and calls",
		`{{ define "a" }}x{{ end }}`:        "only text and calls",
		`{{ template "a" }}`:                "only text and calls",
		`{{ block "a" . }}x{{ end }}`:       "only text and calls",
		`{{ 1 }}`:                           "only text and calls",
		`{{ break }}`:                       "{{break}} outside",
		`{{`:                                "unclosed action",
		`{{` + strings.Repeat("(", 100_000): "",
	} {
		if _, err := parsePodText(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, want %s", text, err, want)
		}
	}
	for _, text := range []string{"", "/plain", "}}", `a{{/* c */}}b`, `{{ pod }}{{namespace}}`, "{{- label `x` -}}"} {
		if _, err := parsePodText(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Whatever a pod has and a resource says: a value adds no element to a path, and
// takes none away.
func FuzzPodText(f *testing.F) {
	f.Add(`/a/{{ label "app" }}/b`, "web", "n")
	f.Add(`{{pod}}{{ annotation "a" }}x`, "../..", "a..b")
	f.Add("{{- namespace | label -}}", "a/b", "")
	f.Fuzz(func(t *testing.T, text, value, name string) {
		parsed, err := parsePodText(text)
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" {
				t.Fatal("an error without words")
			}
			return
		}
		facts := podFacts(map[string]string{"app": value, value: name}, map[string]string{"a": value})
		facts.Pod.Name, facts.Pod.Namespace = name, value
		got, err := parsed.resolve(&facts)
		if err != nil {
			return
		}
		literal := ""
		for _, part := range parsed {
			if literal += part.text; len(part.calls) > 0 {
				literal += "x"
			}
		}
		if strings.Count(got, "/") != strings.Count(literal, "/") || strings.Count(path.Clean("/"+got), "/") != strings.Count(path.Clean("/"+literal), "/") {
			t.Fatalf("%q with %q and %q is %q, which is not as deep", text, value, name, got)
		}
	})
}

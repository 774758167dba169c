package template

import (
	"fmt"
	"iter"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/podreload/podreload/daemonset"
)

// snapshot is a KV of a map.
type snapshot map[string]string

func (s snapshot) Get(key string) (string, bool) {
	v, ok := s[key]
	return v, ok
}

func (s snapshot) Range(prefix string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, k := range slices.Sorted(maps.Keys(s)) {
			if (k == prefix && k != "/" || strings.HasPrefix(k, strings.TrimSuffix(prefix, "/")+"/")) && !yield(k, s[k]) {
				return
			}
		}
	}
}

func (s snapshot) Plain() bool {
	for k := range s {
		if path.Clean(k) != k {
			return false
		}
	}
	return true
}

// confdir writes files below a new folder.
func confdir(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func load(t testing.TB, dir string) *Config {
	t.Helper()
	c, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func profile(t testing.TB, c *Config, name string) *Profile {
	t.Helper()
	p, ok := c.Profile(name)
	if !ok {
		t.Fatalf("no profile %s; problems: %v", name, c.Problems)
	}
	return p
}

var someFacts = Facts{
	Pod: daemonset.Pod{
		Name: "web-0", Namespace: "prod", Labels: map[string]string{"app": "web", "none": "", "example.org/tier": "front"},
		Annotations: map[string]string{"note": "a b"},
	},
	Container: "nginx", Node: "node-1", Hostname: "web-0",
	Env: map[string]string{"SET": "value", "EMPTY": ""},
	Now: func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) },
}

// resourceOf is a resource of a template's text, reading every key. It has more time than one
// of conf.d: what is to be too large is that on a busy machine, too.
func resourceOf(t testing.TB, text string) *Resource {
	t.Helper()
	tmpl, err := parseTemplate("t", text)
	if err != nil {
		t.Fatal(err)
	}
	patient := defaultLimits
	patient.time = time.Minute
	return &Resource{Name: "t.toml", Src: "t", Dest: "/t", Prefix: "/", Keys: []string{"/"}, tmpl: tmpl, limits: patient, size: new(atomic.Int64)}
}

// renderText renders a template's text as a profile of one resource.
func renderText(t testing.TB, text string, kv KV) (string, error) {
	t.Helper()
	p := &Profile{Name: "p", Resources: []*Resource{resourceOf(t, text)}}
	files, err := p.Render(kv, someFacts)
	if err != nil {
		return "", err
	}
	return string(files[0].Data), nil
}

// boundlessPrintf keeps vet from reading the format, which is any.
var boundlessPrintf = fmt.Sprintf

package template

import (
	"bufio"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/podreload/podreload/daemonset"
)

var update = flag.Bool("update", false, "write what is rendered to testdata")

// Each folder of testdata/golden is a confdir with keys.txt beside it, and
// what must come out of it, one folder a profile, in want.
func TestGolden(t *testing.T) {
	dirs, err := filepath.Glob("testdata/golden/*")
	if err != nil || len(dirs) == 0 {
		t.Fatal("no golden trees", err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			kv := readKeys(t, filepath.Join(dir, "keys.txt"))
			got := map[string]string{}
			for _, p := range load(t, dir).Profiles {
				files, err := p.Render(kv, someFacts)
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range files {
					got[filepath.Join(p.Name, f.Path)] = string(f.Data)
				}
			}
			want := readTree(t, filepath.Join(dir, "want"), got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func readKeys(t *testing.T, name string) snapshot {
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	kv := snapshot{}
	for s := bufio.NewScanner(f); s.Scan(); {
		k, v, _ := strings.Cut(s.Text(), "=")
		kv[k] = v
	}
	return kv
}

// readTree reads the files below dir, after writing them with -update.
func readTree(t *testing.T, dir string, got map[string]string) map[string]string {
	if *update {
		os.RemoveAll(dir)
		for name, text := range got {
			name = filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		rel, _ := filepath.Rel(dir, name)
		want[rel] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return want
}

func TestRenderError(t *testing.T) {
	files := map[string]string{
		"conf.d/web/nginx.toml": "[template]\nsrc = \"nginx.tmpl\"\ndest = \"/n\"\nprefix = \"/web\"\nkeys = [\"/\"]\n",
		"templates/nginx.tmpl":  "a\n{{ getv \"/port\" }}\n",
		"conf.d/bad.toml":       "[template]\nsrc = \"bad.tmpl\"\ndest = \"/n\"\nkeys = [\"/\"]\n",
		"templates/bad.tmpl":    "\n\n  {{ atoi (getv \"/web/secret\") }}",
		"conf.d/sens.toml":      "[template]\nsrc = \"bad.tmpl\"\ndest = \"/n\"\nkeys = [\"/\"]\nsensitive = true\n[profile]\nnamespaces = [\"x\"]\n",
	}
	c := load(t, confdir(t, files))
	tests := map[string]struct {
		want    string
		noKey   bool
		columns int
	}{
		"web":  {"templates/nginx.tmpl:2: key does not exist: /port (/web/port in etcd) (profile web, resource web/nginx.toml); put the key or give getv a default", true, 4},
		"bad":  {`templates/bad.tmpl:3: at <atoi (getv "/web/secret")>: atoi: strconv.Atoi: parsing "hunter2": invalid syntax (profile bad, resource bad.toml); mend the template or the value`, false, 6},
		"sens": {"templates/bad.tmpl:3: a function failed; what it said is not shown, since the resource is sensitive (profile sens, resource sens.toml); mend the template or the value", false, 6},
	}
	for name, tt := range tests {
		files, err := profile(t, c, name).Render(snapshot{"/web/secret": "hunter2"}, Facts{})
		var re *RenderError
		if !errors.As(err, &re) || files != nil {
			t.Fatalf("%s: %v, %v", name, files, err)
		}
		if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if errors.Is(err, ErrNoKey) != tt.noKey || re.Column != tt.columns {
			t.Errorf("%s: no key is %v, column is %d", name, errors.Is(err, ErrNoKey), re.Column)
		}
		if name == "sens" && re.Err != nil {
			t.Errorf("%s: the value is still in the chain", name)
		}
	}
}

// One profile renders for many containers at once, each with its own facts
// and snapshot.
func TestConcurrent(t *testing.T) {
	p := &Profile{Name: "p", Resources: []*Resource{
		resourceOf(t, `{{define "x"}}{{getenv "N"}}{{end}}{{range gets "/*"}}{{.Value}}{{template "x"}}{{end}}{{reverse (ls "/")}}`),
	}}
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			n := string(rune('a' + i))
			for range 50 {
				files, err := p.Render(snapshot{"/k": n, "/l": n}, Facts{Env: map[string]string{"N": n}})
				if want := n + n + n + n + "[l k]"; err != nil || string(files[0].Data) != want {
					t.Errorf("got %q, want %q: %v", files[0].Data, want, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestFactsOf(t *testing.T) {
	pod := daemonset.Pod{Name: "p", Namespace: "n", Labels: map[string]string{"a": "b"}}
	got := FactsOf(daemonset.Container{Env: []string{"A=1", "B=x=y", "A=2", "C"}, Hostname: "h", Name: "c", Pod: pod})
	want := Facts{Pod: pod, Container: "c", Env: map[string]string{"A": "1", "B": "x=y", "C": ""}, Hostname: "h"}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Facts{}, "Now")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

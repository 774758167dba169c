package template

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podreload/podreload/daemonset"
)

// looks are ways to read the store, with a name to put in.
var looks = []string{
	`{{getv "%s" "none"}}`, `{{exists "%s"}}`, `{{get "%s"}}`, `{{getv "%s"}}`, `{{gets "%s/*"}}`, `{{gets "%s*"}}`, `{{getvs "%s/*/*"}}`, `{{ls "%s"}}`, `{{lsdir "%s"}}`,
	`{{range ls "%s"}}{{getv (printf "/a/%%s" .) "no"}},{{end}}`, `{{if exists "%s"}}{{label "app"}}{{else}}{{getv "/b" "x"}}{{end}}`, `{{json (getv "%s" "{}")}}`,
}

// names are the keys that come and go; the odd ones change what is looked for where.
var names = []string{"/a", "/a/b", "/a/b/c", "/a/c", "/a-b", "/ab", "/b", "/b/a", "/b/a/b", "/c/a/b"}
var oddNames = []string{"/a//b", "/b/"}

// TestParts: whatever templates read and whatever changes, what is used again is what would be rendered.
func TestParts(t *testing.T) {
	t.Parallel()
	used, made := 0, 0
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		pick := func(of []string) string { return of[rng.IntN(len(of))] }
		p := &Profile{Name: "p"}
		for i := range 4 {
			var text strings.Builder
			for range 1 + rng.IntN(3) {
				fmt.Fprintf(&text, pick(looks), pick(names))
			}
			r := resourceOf(t, text.String())
			r.Dest = fmt.Sprint("/", i)
			r.Prefix, r.Keys = pick([]string{"/", "/", "/a", "/b"}), []string{pick([]string{"/", "/a", "/b", "../c"})}
			p.Resources = append(p.Resources, r)
		}
		bound, err := p.Bind(someFacts)
		if err != nil {
			t.Fatal(err)
		}
		kv, parts := snapshot{}, Parts{}
		for step := range 40 {
			next, changed := maps.Clone(kv), []string{}
			for range rng.IntN(4) {
				key := pick(names)
				if rng.IntN(10) == 0 {
					key = pick(oddNames)
				}
				if changed = append(changed, key); rng.IntN(3) == 0 {
					delete(next, key)
				} else {
					next[key] = fmt.Sprintf(`{"v": %d}`, rng.IntN(5))
				}
			}
			kv = next
			parts = parts.For(kv, changed)
			want, wantErr := bound.Render(kv, someFacts)
			got, err := bound.RenderWith(kv, someFacts, parts)
			if fmt.Sprint(err) != fmt.Sprint(wantErr) {
				t.Fatalf("seed %d, step %d: %v, want %v", seed, step, err, wantErr)
			}
			if err != nil {
				continue // the parts of before hold still
			}
			if diff := cmp.Diff(bytesOf(want.Files), bytesOf(got.Files)); diff != "" || want.Asked != got.Asked {
				t.Fatalf("seed %d, step %d, %q changed: asked %+v, want %+v; files (-want +got):\n%s", seed, step, changed, got.Asked, want.Asked, diff)
			}
			for i := range p.Resources {
				if _, ok := parts.of(i); ok {
					used++
				}
				made++
			}
			parts = got.Parts
		}
	}
	if used < made/10 {
		t.Errorf("of %d files %d were used again: this has shown little", made, used)
	}
}

func bytesOf(files []daemonset.File) (out []string) {
	for _, f := range files {
		out = append(out, f.Path+": "+string(f.Data))
	}
	return out
}

// TestPartsHold: which keys make which file anew.
func TestPartsHold(t *testing.T) {
	t.Parallel()
	kv := snapshot{"/a": "1", "/a/b": "2", "/ab": "3", "/n": "4"}
	many := strings.Repeat(`{{getv "/a"}}`, 10) + `{{range seq 1 2000}}{{getv (printf "/m/%d" .) ""}}{{end}}`
	for name, tt := range map[string]struct {
		text    string
		changed []string
		holds   bool
	}{
		"another key":          {`{{getv "/a"}}`, []string{"/b", "/ab", "/a/b"}, true},
		"the key":              {`{{getv "/a"}}`, []string{"/b", "/a"}, false},
		"nothing":              {`{{getv "/a"}}`, nil, true},
		"one that is missing":  {`{{getv "/x" "1"}}`, []string{"/x"}, false},
		"below":                {`{{ls "/a"}}`, []string{"/a/new"}, false},
		"beside":               {`{{ls "/a"}}`, []string{"/ab"}, true},
		"in another branch":    {`{{if exists "/n"}}{{else}}{{getv "/b"}}{{end}}`, []string{"/b"}, true},
		"reads nothing":        {`text`, []string{"/a"}, true},
		"asks the pod":         {`{{getv "/a"}}{{label "app"}}`, []string{"/b"}, false},
		"asks the clock":       {`{{datetime}}`, nil, false},
		"reads too much":       {many, nil, false},
		"an odd one comes":     {`{{getv "/a"}}`, []string{"/b//c"}, false},
		"all":                  {`{{gets "/*"}}`, []string{"/z/z"}, false},
		"a pattern with a dir": {`{{gets "/a/*"}}`, []string{"/n"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bound, err := (&Profile{Name: "p", Resources: []*Resource{resourceOf(t, tt.text)}}).Bind(someFacts)
			if err != nil {
				t.Fatal(err)
			}
			rendered, err := bound.Render(kv, someFacts)
			if err != nil {
				t.Fatal(err)
			}
			next := maps.Clone(kv)
			for _, key := range tt.changed {
				next[key] = "new"
			}
			if _, holds := rendered.Parts.For(next, tt.changed).of(0); holds != tt.holds {
				t.Errorf("it holds: %v, want %v", holds, tt.holds)
			}
		})
	}
}

// BenchmarkParts: one key of 50,000 changes, which one of 20 files reads; each file is of 2,500 keys.
func BenchmarkParts(b *testing.B) {
	const files, keys = 20, 2500
	kv := make(ordered, 0, files*keys)
	p := &Profile{Name: "p"}
	for i := range files {
		for j := range keys {
			kv = append(kv, KVPair{fmt.Sprintf("/%02d/%06d", i, j), fmt.Sprintf("10.0.%d.%d:8080", j>>8, j&255)})
		}
		r := resourceOf(b, `{{range gets "/*"}}server {{.Value}}; # {{.Key}}`+"\n{{end}}")
		r.Prefix, r.Dest = fmt.Sprintf("/%02d", i), fmt.Sprint("/", i)
		p.Resources = append(p.Resources, r)
	}
	bound, err := p.Bind(someFacts)
	if err != nil {
		b.Fatal(err)
	}
	for _, again := range []bool{false, true} {
		b.Run(map[bool]string{false: "all anew", true: "what reads it"}[again], func(b *testing.B) {
			b.ReportAllocs()
			var parts Parts
			for i := 0; b.Loop(); i++ {
				kv[len(kv)/2].Value = fmt.Sprintf("10.1.0.%d:8080", i&255)
				if again {
					parts = parts.For(kv, []string{kv[len(kv)/2].Key})
				}
				out, err := bound.RenderWith(kv, someFacts, parts)
				if err != nil {
					b.Fatal(err)
				}
				if again {
					parts = out.Parts
				}
			}
		})
	}
}

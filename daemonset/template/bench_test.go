package template

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
)

// ordered is a snapshot of sorted pairs.
type ordered []KVPair

func (s ordered) index(key string) (int, bool) {
	return slices.BinarySearchFunc(s, key, func(p KVPair, key string) int { return strings.Compare(p.Key, key) })
}

func (s ordered) Get(key string) (string, bool) {
	if i, ok := s.index(key); ok {
		return s[i].Value, true
	}
	return "", false
}

func (s ordered) Range(prefix string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		if i, ok := s.index(prefix); ok && prefix != "/" && !yield(s[i].Key, s[i].Value) {
			return
		}
		below := strings.TrimSuffix(prefix, "/") + "/"
		first, _ := s.index(below)
		for _, p := range s[first:] {
			if !strings.HasPrefix(p.Key, below) || !yield(p.Key, p.Value) {
				return
			}
		}
	}
}

func (s ordered) Plain() bool { return true }

// What a render costs with so many keys in the snapshot: a template that ranges
// over all, two ways, and one that reads two. "one changed" renders over a new
// snapshot that differs in one key, as after a put.
func BenchmarkRender(b *testing.B) {
	texts := map[string]string{
		"gets": `{{range gets "/upstream/*"}}server {{.Value}}; # {{.Key}}` + "\n{{end}}",
		"getv": `{{range ls "/upstream"}}server {{getv (printf "/upstream/%s" .)}};` + "\n{{end}}",
		"few":  `listen {{getv "/upstream/server-000000"}}; {{if exists "/no"}}{{end}}{{getv "/no" "x"}}`,
	}
	for _, n := range []int{1, 1000, 50_000} {
		kv := make(ordered, n)
		for i := range kv {
			kv[i] = KVPair{fmt.Sprintf("/bench/upstream/server-%06d", i), fmt.Sprintf("10.%d.%d.%d:8080", i>>16, i>>8&255, i&255)}
		}
		for _, name := range sortedKeys(texts) {
			r := resourceOf(b, texts[name])
			r.Prefix = "/bench"
			p := &Profile{Name: "p", Resources: []*Resource{r}}
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) { benchmarkRender(b, p, kv, false) })
			if name == "gets" {
				b.Run(fmt.Sprintf("%s/%d/one changed", name, n), func(b *testing.B) { benchmarkRender(b, p, kv, true) })
			}
		}
	}
}

func benchmarkRender(b *testing.B, p *Profile, kv ordered, change bool) {
	kv = slices.Clone(kv)
	bound, err := p.Bind(someFacts)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if change {
			kv[len(kv)/2].Value = fmt.Sprintf("10.0.0.%d:8080", i&255)
		}
		if _, err := bound.Render(kv, someFacts); err != nil {
			b.Fatal(err)
		}
	}
}

// What it costs to bind a profile that uses the pod.
func BenchmarkBind(b *testing.B) {
	c := load(b, confdir(b, map[string]string{
		"templates/t":   "x",
		"conf.d/w.toml": strings.Replace(plain, "keys =", "prefix = '/services/{{ label \"app\" }}'\nkeys =", 1) + "[profile]\nnamespaces = [\"*\"]\n",
	}))
	p := profile(b, c, "w")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Bind(someFacts); err != nil {
			b.Fatal(err)
		}
	}
}

package template

import (
	"fmt"
	"iter"
	"testing"
)

// sorted is a snapshot that costs nothing to walk.
type sorted []KVPair

func (s sorted) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, p := range s {
			if !yield(p.Key, p.Value) {
				return
			}
		}
	}
}

func BenchmarkRender(b *testing.B) {
	for _, n := range []int{1, 1000, 50_000} {
		kv := make(sorted, n)
		for i := range kv {
			kv[i] = KVPair{fmt.Sprintf("/bench/upstream/server-%06d", i), fmt.Sprintf("10.%d.%d.%d:8080", i>>16, i>>8&255, i&255)}
		}
		for name, text := range map[string]string{
			"gets": `{{range gets "/upstream/*"}}server {{.Value}}; # {{.Key}}` + "\n{{end}}",
			"getv": `{{range ls "/upstream"}}server {{getv (printf "/upstream/%s" .)}};` + "\n{{end}}",
		} {
			r := resourceOf(b, text)
			r.Prefix = "/bench"
			p := &Profile{Name: "p", Resources: []*Resource{r}}
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := p.Render(kv, someFacts); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

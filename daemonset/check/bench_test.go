package check_test

import (
	"fmt"
	"testing"

	"github.com/podreload/podreload/testenv"
)

// BenchmarkFresh is a check that nothing is remembered of.
func BenchmarkFresh(b *testing.B) {
	r := newRig(b, testenv.SharedNode(b, testenv.Debian))
	_, c := r.pod(testenv.PodConfig{}, testenv.ContainerConfig{})
	n := 0
	for b.Loop() {
		n++
		if _, err := r.checker.Check(b.Context(), r.trial(c, file(conf, fmt.Sprintf("# %d\n%s", n, good)), "nginx", "-t")); err != nil {
			b.Fatal(err)
		}
	}
}

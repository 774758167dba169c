package check_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/podreload/podreload/daemonset/check"
	"github.com/podreload/podreload/testenv"
)

func TestVerdict(t *testing.T) {
	testenv.EachVersion(t, func(t *testing.T, n *testenv.Node) {
		r := newRig(t, n)
		run, c := r.pod(testenv.PodConfig{}, testenv.ContainerConfig{})
		before, err := run.Exec(t.Context(), "cat", conf)
		if err != nil {
			t.Fatal(err)
		}
		v, err := r.check(r.trial(c, file(conf, good), "nginx", "-t"))
		if err != nil || !strings.Contains(v.Output, "test is successful") {
			t.Errorf("a good configuration: %+v, %v", v, err)
		}
		_, err = r.check(r.trial(c, file(conf, "server {\n  listen eighty;\n}\n"), "nginx", "-t"))
		if !errors.Is(err, check.ErrRefused) || !strings.Contains(err.Error(), conf+":2") {
			t.Errorf("a bad configuration: %v, want a refusal of %s:2", err, conf)
		}
		after, err := run.Exec(t.Context(), "cat", conf)
		if err != nil || after != before {
			t.Errorf("the container's own file is %q, %v; want it as it was", after, err)
		}
	})
}

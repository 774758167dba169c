package check_test

import (
	"errors"
	"testing"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/check"
	"github.com/podreload/podreload/testenv"
)

// TestProved: what a server was proved with counts for equal containers, whatever command a
// check of it would be, and when the container has ended; and for no others.
func TestProved(t *testing.T) {
	testenv.EachVersion(t, func(t *testing.T, n *testenv.Node) {
		r := newRig(t, n)
		trial := func(c daemonset.Container, text string, command ...string) check.Trial {
			x := r.trial(c, file(conf, text), command...)
			x.Image = "sha256:1"
			return x
		}
		mounted := func() testenv.ContainerConfig {
			return testenv.ContainerConfig{Env: []string{"A=1"}, Mounts: []testenv.Mount{{HostPath: t.TempDir(), ContainerPath: "/data"}}}
		}
		run, first := r.pod(testenv.PodConfig{}, mounted())
		_, equal := r.pod(testenv.PodConfig{}, mounted())
		if err := r.checker.Proved(trial(equal, good, "nginx", "-t")); !errors.Is(err, check.ErrUnproved) {
			t.Errorf("before all: %v", err)
		}
		if err := r.checker.Prove(trial(first, good, "/usr/sbin/nginx", "-t")); err != nil {
			t.Fatal(err)
		}
		if err := run.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := r.checker.Proved(trial(equal, good, "nginx", "-t")); err != nil {
			t.Errorf("an equal container: %v", err)
		}

		other := mounted()
		other.Env = []string{"A=2"}
		_, environment := r.pod(testenv.PodConfig{}, other)
		other = mounted()
		other.Args = []string{"nginx", "-g", "daemon off; worker_rlimit_nofile 1024;"}
		_, command := r.pod(testenv.PodConfig{}, other)
		other = mounted()
		other.Capabilities = []string{"NET_ADMIN"}
		_, privileges := r.pod(testenv.PodConfig{}, other)
		_, volumes := r.pod(testenv.PodConfig{}, testenv.ContainerConfig{Env: []string{"A=1"}})
		namespace := trial(equal, good, "nginx", "-t")
		namespace.Container.Pod.Namespace = "other"
		image := trial(equal, good, "nginx", "-t")
		image.Image = "sha256:2"
		unknown := image
		unknown.Image = ""
		for name, x := range map[string]check.Trial{
			"environment": trial(environment, good, "nginx", "-t"), "command": trial(command, good, "nginx", "-t"),
			"privileges": trial(privileges, good, "nginx", "-t"), "volumes": trial(volumes, good, "nginx", "-t"),
			"namespace": namespace, "files": trial(equal, "# other\n"+good, "nginx", "-t"),
			"image": image, "unknown image": unknown,
		} {
			if err := r.checker.Proved(x); !errors.Is(err, check.ErrUnproved) {
				t.Errorf("another %s: %v", name, err)
			}
		}
		if _, err := r.check(trial(equal, "# checked\n"+good, "nginx", "-t")); err != nil {
			t.Fatal(err)
		}
		if err := r.checker.Proved(trial(equal, "# checked\n"+good, "nginx", "-t")); !errors.Is(err, check.ErrUnproved) {
			t.Errorf("a pass counts for a proof: %v", err)
		}
	})
}

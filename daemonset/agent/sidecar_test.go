package agent_test

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/testenv"
)

// TestSidecarAlone: the sidecar of a server that has ended, or is frozen, is not the server's container.
func TestSidecarAlone(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]func(*rig, *testenv.Container){
		"ended": func(r *rig, nginx *testenv.Container) {
			if err := nginx.Stop(r.t.Context()); err != nil {
				r.t.Fatal(err)
			}
		},
		"frozen": func(r *rig, nginx *testenv.Container) { freeze(r.t, r.node, nginx) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, testenv.SharedNode(t, testenv.V2))
			r.resource(r.name, "dest = \"/run/conf/new.conf\"\nmkdir = true", `process = "nginx"`)
			p := r.pod(testenv.PodConfig{Containers: []testenv.ContainerConfig{
				{Name: "nginx"}, {Name: "logger", Command: []string{"sleep", "1000000"}},
			}})
			r.start()
			r.live(p.Container("nginx"), r.put("secret"))
			away(r, p.Container("nginx"))
			for range 2 { // the second agent has never seen the other
				eventually(t, "nobody is taken for the server", func() error {
					if len(r.said.lines("container logger does not run nginx yet")) == 0 {
						return errors.New("not said")
					}
					return nil
				})
				if out, err := p.Container("logger").Exec(t.Context(), "cat", "/run/conf/new.conf"); err == nil {
					t.Errorf("the sidecar has the file: %q", out)
				}
				r.stop()
				r.start()
			}
		})
	}
}

// TestServerIsDown: the container of a server that is down, beside others, gets its files all the same, since these may
// be what brings it back.
func TestServerIsDown(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.resync = 300 * time.Millisecond
	sleep := []string{"sleep", "1000000"}
	p := r.pod(testenv.PodConfig{Containers: []testenv.ContainerConfig{{Name: "nginx", Command: sleep}, {Name: "logger", Command: sleep}}})
	c := p.Container("nginx")
	exec(t, c, "nginx >/dev/null 2>&1") // else the exec lasts as long as nginx
	r.start()
	s := r.live(c, r.put("one"))
	kill(t, s.Process.Pid, unix.SIGQUIT)
	r.in(c, daemonset.Waiting, "files are in place")
	r.stop()
	revision := r.put("two")
	r.start()
	eventually(t, "the file is there", func() error {
		_, err := c.Exec(t.Context(), "grep", "-q", "two", conf)
		return err
	})
	exec(t, c, "nginx >/dev/null 2>&1")
	r.live(c, revision)
}

// TestSidecarFirst: the kubelet starts a pod's containers one after the other, with the pull of an image between, and
// the server's may come last.
func TestSidecarFirst(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.resource(r.name, "dest = \"/run/conf/new.conf\"\nmkdir = true", `process = "nginx"`)
	revision := r.put("secret")
	r.start()
	p := r.pod(testenv.PodConfig{Containers: []testenv.ContainerConfig{{Name: "logger", Command: []string{"sleep", "1000000"}}}})
	eventually(t, "nobody is taken for the server", func() error {
		if len(r.said.lines("container logger does not run nginx yet")) == 0 {
			return errors.New("not said")
		}
		return nil
	})
	c, err := p.StartContainer(t.Context(), testenv.ContainerConfig{Name: "nginx"})
	if err != nil {
		t.Fatal(err)
	}
	r.live(c, revision)
	if out, err := p.Container("logger").Exec(t.Context(), "cat", "/run/conf/new.conf"); err == nil {
		t.Errorf("the sidecar has the file: %q", out)
	}
}

// TestAnotherServer: a profile that is for another server by now has no part in the container of the one that it was for.
func TestAnotherServer(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	p := r.pod(testenv.PodConfig{Containers: []testenv.ContainerConfig{
		{Name: "nginx"}, {Name: "proxy", Command: []string{"sleep", "1000000"}},
	}})
	r.start()
	r.live(p.Container("nginx"), r.put("one"))
	r.profile(r.name, `process = "haproxy"`)
	eventually(t, "nobody is taken for the server", func() error {
		if len(r.said.lines("none of nginx, proxy runs haproxy yet")) == 0 {
			return errors.New("not said")
		}
		return nil
	})
}

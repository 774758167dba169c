package agent_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/containerd/containerd/v2/pkg/namespaces"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/agent"
	"github.com/podreload/podreload/daemonset/pods"
	"github.com/podreload/podreload/daemonset/state"
	"github.com/podreload/podreload/testenv"
)

// vanishes waits until a path inside is gone.
func (r *rig) vanishes(c *testenv.Container, path string) {
	r.t.Helper()
	eventually(r.t, path+" goes with its profile", func() error {
		_, err := c.Exec(r.t.Context(), "test", "!", "-e", path)
		return err
	})
}

// TestUnprovedProfileGoes: the files of a whole profile go with it though its server was not there yet.
func TestUnprovedProfileGoes(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.resource(r.name, "dest = \"/tmp/file\"\nremove = true", `process = "nginx"`, `container = "nginx"`)
	c := r.pod(testenv.PodConfig{Containers: []testenv.ContainerConfig{{Name: "nginx", Command: []string{"sleep", "1000000"}}}}).Container("nginx")
	r.start()
	r.put("one")
	r.in(c, daemonset.Waiting, "files are in place")
	exec(t, c, "test -e /tmp/file")
	r.without("")
	r.reread(1)
	r.vanishes(c, "/tmp/file")
}

// troubled are containers beside which there is one whose shim does not answer.
type troubled struct{ agent.Containers }

func (w troubled) Watch(ctx context.Context, notify func(pods.Update)) error {
	return w.Containers.Watch(ctx, func(u pods.Update) {
		u.Err = errors.Join(u.Err, fmt.Errorf("%w: default/other/app: its shim does not answer", pods.ErrUnreadable))
		notify(u)
	})
}

// TestOneHungShim: another pod's shim that hangs keeps neither the files of a profile that goes, nor records.
func TestOneHungShim(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.wrap = func(c agent.Containers) agent.Containers { return troubled{c} }
	r.resource(r.name, "dest = \""+conf+"\"\nremove = true", `process = "nginx"`)
	c := r.pod(testenv.PodConfig{}).Container("nginx")
	r.start()
	r.live(c, r.put("one"))
	r.without("")
	r.reread(1)
	r.vanishes(c, conf)
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its record goes", func() error {
		if _, err := r.applier.Store.Load(c.ID); !errors.Is(err, state.ErrNotFound) {
			return fmt.Errorf("it is there, or %v", err)
		}
		return nil
	})
}

// TestFrozenMeanwhile: a container that is frozen while its profile goes is seen to when it thaws.
func TestFrozenMeanwhile(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.resource(r.name, "dest = \""+conf+"\"\nremove = true", `process = "nginx"`)
	c := r.pod(testenv.PodConfig{}).Container("nginx")
	r.start()
	r.live(c, r.put("one"))
	thaw := freeze(t, r.node, c)
	eventually(t, "the agent does without it", func() error {
		for _, target := range r.agent.View().Targets {
			if target.ContainerID == c.ID {
				return errors.New(string(target.State))
			}
		}
		return nil
	})
	r.without("")
	r.reread(1)
	thaw()
	r.vanishes(c, conf)
}

// freeze freezes a container, until thaw is called or the test ends.
func freeze(t *testing.T, node *testenv.Node, c *testenv.Container) (thaw func()) {
	t.Helper()
	client, err := pods.Dial("unix://"+node.Socket(), "k8s.io")
	if err != nil {
		t.Fatal(err)
	}
	ctx := namespaces.WithNamespace(context.Background(), "k8s.io")
	loaded, err := client.Containerd().LoadContainer(ctx, c.ID)
	if err != nil {
		t.Fatal(err)
	}
	task, err := loaded.Task(ctx, nil)
	if err == nil {
		err = task.Pause(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	frozen := true
	thaw = func() {
		if !frozen {
			return
		}
		frozen = false
		if err := task.Resume(ctx); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() {
		thaw()
		client.Close()
	})
	return thaw
}

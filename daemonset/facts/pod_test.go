package facts_test

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/facts"
	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/testenv"
)

// patience is how long a container may take on a slow and busy machine.
const patience = 2 * time.Minute

func TestMain(m *testing.M) { testenv.Main(m) }

var names atomic.Int32

// inside is a container and the way into it.
type inside struct {
	t         testing.TB
	c         *testenv.Container
	shim      *nsenter.Shim
	init      *nsenter.Process
	container daemonset.Container
}

// pod runs a pod of one container that does nothing.
func pod(t testing.TB, v testenv.Version, config testenv.PodConfig, c testenv.ContainerConfig) *inside {
	t.Helper()
	node := testenv.SharedNode(t, v)
	sealed, err := nsenter.Seal(testenv.Shim(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sealed.Close(); err != nil {
			t.Error(err)
		}
	})
	config.Name = fmt.Sprintf("pod-%d", names.Add(1))
	c.Name, c.Command = "main", []string{"sleep", "1000000"}
	config.Containers = []testenv.ContainerConfig{c}
	p, err := node.RunPod(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Remove(context.Background()); err != nil {
			t.Error(err)
		}
	})
	in := &inside{t: t, c: p.Container("main"), shim: sealed}
	pid, err := in.c.Pid(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if in.init, err = nsenter.Pin(pid); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.init.Close() })
	in.container = daemonset.Container{ID: in.c.ID, Name: "main", Pid: pid, StartTime: in.init.StartTime(), Pod: daemonset.Pod{Name: config.Name, Namespace: "default"}}
	if config.UserNS {
		in.container.UIDMap = []daemonset.IDMap{{Outside: testenv.UserNSBase, Size: 1 << 16}}
		in.container.GIDMap = in.container.UIDMap
	}
	return in
}

// facts are those of a new pass.
func (in *inside) facts() *facts.Facts {
	in.t.Helper()
	ctx, cancel := context.WithTimeout(in.t.Context(), patience)
	in.t.Cleanup(cancel)
	return facts.Of(ctx, in.shim, in.init, in.container)
}

// write writes a file in place, as it may be mounted by itself.
func (in *inside) write(path, text string) {
	in.t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/root%s", in.init.Pid(), path), []byte(text), 0o644); err != nil {
		in.t.Fatal(err)
	}
}

func (in *inside) sh(line string) {
	in.t.Helper()
	if _, err := in.c.Exec(in.t.Context(), "sh", "-c", line); err != nil {
		in.t.Fatal(err)
	}
}

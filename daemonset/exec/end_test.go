package exec_test

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/podreload/podreload/daemonset/exec"
	"github.com/podreload/podreload/testenv"
)

// limit is a command's time limit, where it is to be reached.
const limit = 5 * time.Second

// At the limit all of a command ends: who will not hear, who went to the background or was handed to
// init, and who made a session of its own but has its parent still.
func TestDeadline(t *testing.T) {
	t.Parallel()
	testenv.EachVersion(t, func(t *testing.T, n *testenv.Node) {
		c := newRig(t, n).pod(testenv.PodConfig{}, testenv.ContainerConfig{})
		for name, script := range map[string]string{
			"alone":    "exec sleep 987654",
			"stubborn": "trap '' TERM HUP INT; while :; do sleep 987654; done",
			"tree":     "sleep 987654 & sh -c 'sleep 987654 & sleep 987654' & sleep 987654",
			"orphan":   "(sleep 987654 &); (trap '' TERM; while :; do sleep 987654; done &); sleep 987654",
			"sessions": "setsid sh -c 'sleep 987654; true' & setsid sleep 987654 & sleep 987654",
			"stopped":  "sleep 987654 & kill -STOP $!; kill -STOP $$; sleep 987654",
			"breeding": "while :; do sleep 987654 & sleep 0.01; done",
		} {
			_, err := c.within(limit, "/bin/sh", "-c", "echo said before; "+script)
			if !errors.Is(err, exec.ErrDeadline) || !strings.Contains(err.Error(), "its limit is "+limit.String()) || !strings.Contains(err.Error(), "said before") {
				t.Errorf("%s: %v", name, err)
			}
			if left := c.processes("987654"); len(left) > 0 {
				t.Errorf("%s: left running: %d: %.1q", name, len(left), left)
			}
		}
		if first := c.processes("1000000"); len(first) != 1 {
			t.Errorf("the container's own: %q", first)
		}
	})
}

// What a command leaves behind when it ends by itself is the container's.
func TestDaemonStays(t *testing.T) {
	t.Parallel()
	testenv.EachVersion(t, func(t *testing.T, n *testenv.Node) {
		c := newRig(t, n).pod(testenv.PodConfig{}, testenv.ContainerConfig{})
		if r, err := c.run("/bin/sh", "-c", "(setsid sleep 987654 >/dev/null 2>&1 &); echo left it"); err != nil || r.Output != "left it" {
			t.Errorf("%+v, %v", r, err)
		}
		// One that holds the output open delays the answer a little.
		begun := time.Now()
		if r, err := c.run("/bin/sh", "-c", "sleep 987654 & echo left it"); err != nil || r.Output != "left it" {
			t.Errorf("%+v, %v", r, err)
		}
		if took := time.Since(begun); took > patience/2 {
			t.Errorf("the answer took %s", took)
		}
		// One that floods it has nobody who reads any more.
		if _, err := c.run("/bin/sh", "-c", "(trap '' PIPE; yes 987654 2>/dev/null &) ; echo left it"); err != nil {
			t.Errorf("%v", err)
		}
		if left := c.processes("sleep 987654"); len(left) != 2 {
			t.Errorf("left running: %q", left)
		}
		if r, err := c.run("echo", "again"); err != nil || r.Output != "again" {
			t.Errorf("afterwards: %+v, %v", r, err)
		}
	})
}

// A flood is drained: it holds nobody up, and fills neither memory nor disk.
func TestFlood(t *testing.T) {
	c := newRig(t, testenv.SharedNode(t, testenv.V2)).pod(testenv.PodConfig{}, testenv.ContainerConfig{})
	before := heap()
	r, err := c.run("/bin/sh", "-c", "echo begin; yes | head -c 300000000; echo end")
	if err != nil {
		t.Fatal(err)
	}
	if grown := int64(heap()) - int64(before); grown > 32<<20 {
		t.Errorf("the heap has grown by %d MiB", grown>>20)
	}
	if len(r.Output) > 17<<10 || !strings.HasPrefix(r.Output, "begin\ny\n") || !strings.HasSuffix(r.Output, "y\nend") ||
		!strings.Contains(r.Output, "\n… 299983626 bytes left out …\n") {
		t.Errorf("%d bytes: %.40q", len(r.Output), r.Output)
	}
}

func TestEndlessFlood(t *testing.T) {
	testenv.EachVersion(t, func(t *testing.T, n *testenv.Node) {
		c := newRig(t, n).pod(testenv.PodConfig{}, testenv.ContainerConfig{})
		if _, err := c.within(limit, "yes"); !errors.Is(err, exec.ErrDeadline) || len(err.Error()) > 4000 {
			t.Errorf("%.4000v", err)
		}
	})
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// The container ends under its command.
func TestContainerDies(t *testing.T) {
	testenv.EachVersion(t, func(t *testing.T, n *testenv.Node) {
		c := newRig(t, n).pod(testenv.PodConfig{}, testenv.ContainerConfig{})
		var group errgroup.Group
		group.Go(func() error {
			_, err := c.Run(t.Context(), c.Container, exec.Command{Args: []string{"/bin/sh", "-c", "touch /runs; sleep 987654"}, Timeout: patience})
			return err
		})
		c.awaitFile("/runs")
		p, err := os.FindProcess(c.Pid)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := group.Wait(); !errors.Is(err, exec.ErrGone) {
			t.Errorf("%v", err)
		}
		// Until containerd has put it away it cannot remove the pod.
		testenv.Await(t, func() bool {
			_, err := c.containerd.TaskService().Get(t.Context(), &tasks.GetRequest{ContainerID: c.ID})
			return status.Code(err) == codes.NotFound
		})
	})
}

func TestPaused(t *testing.T) {
	t.Parallel()
	testenv.EachVersion(t, func(t *testing.T, n *testenv.Node) {
		c := newRig(t, n).pod(testenv.PodConfig{}, testenv.ContainerConfig{})
		container, err := c.containerd.LoadContainer(t.Context(), c.ID)
		if err != nil {
			t.Fatal(err)
		}
		task, err := container.Task(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		var group errgroup.Group
		group.Go(func() error {
			_, err := c.Run(t.Context(), c.Container, exec.Command{Args: []string{"/bin/sh", "-c", "touch /runs; sleep 987654"}, Timeout: 5 * time.Second})
			return err
		})
		c.awaitFile("/runs")
		if err := task.Pause(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := group.Wait(); !errors.Is(err, exec.ErrDeadline) {
			t.Errorf("paused in the middle: %v", err)
		}
		if _, err := c.Run(t.Context(), c.Container, exec.Command{Args: []string{"true"}}); !errors.Is(err, exec.ErrNotStarted) || !strings.Contains(err.Error(), "paused") {
			t.Errorf("paused before: %v", err)
		}
		if err := task.Resume(context.WithoutCancel(t.Context())); err != nil {
			t.Fatal(err)
		}
		if r, err := c.run("echo", "again"); err != nil || r.Output != "again" {
			t.Errorf("afterwards: %+v, %v", r, err)
		}
		if left := c.processes("987654"); len(left) > 0 {
			t.Errorf("left running: %q", left)
		}
	})
}

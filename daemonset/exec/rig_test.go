package exec_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	containerd "github.com/containerd/containerd/v2/client"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/exec"
	"github.com/podreload/podreload/daemonset/pods"
	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/testenv"
)

// execID is the name of the process in the container.
const execID = "podreload-reload"

var forever = []string{"sleep", "1000000"}

// rig is a Client on a node, with what it needs.
type rig struct {
	*exec.Client
	t          testing.TB
	node       *testenv.Node
	containerd *containerd.Client
	dir        string
}

func newRig(t testing.TB, node *testenv.Node) *rig {
	t.Helper()
	conn, err := pods.Dial(node.Socket(), "k8s.io")
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, node: node, containerd: conn.Containerd(), dir: filepath.Join(t.TempDir(), "exec")}
	if r.Client, err = exec.New(r.containerd, r.dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if entries, err := os.ReadDir(r.dir); err == nil && len(entries) > 0 {
			t.Errorf("left in %s: %v", r.dir, entries)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

var names atomic.Int32

// run is a container that runs, as testenv and as package pods know it.
type run struct {
	*rig
	inside *testenv.Container
	daemonset.Container
}

// pod runs a pod of one container, which does nothing unless its config has a command.
func (r *rig) pod(pod testenv.PodConfig, c testenv.ContainerConfig) *run {
	r.t.Helper()
	return r.pods(pod, c)[0]
}

func (r *rig) pods(pod testenv.PodConfig, containers ...testenv.ContainerConfig) []*run {
	r.t.Helper()
	pod.Name = fmt.Sprintf("pod-%d", names.Add(1))
	for i := range containers {
		containers[i].Name = fmt.Sprintf("c%d", i)
		if containers[i].Command == nil {
			containers[i].Command = forever
		}
	}
	pod.Containers = containers
	p, err := r.node.RunPod(r.t.Context(), pod)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if err := p.Remove(context.Background()); err != nil {
			r.t.Error(err)
		}
	})
	var all []*run
	for _, c := range containers {
		one := &run{rig: r, inside: p.Container(c.Name)}
		pid, err := one.inside.Pid(r.t.Context())
		if err != nil {
			r.t.Fatal(err)
		}
		start, err := nsenter.StartTime(pid)
		if err != nil {
			r.t.Fatal(err)
		}
		one.Container = daemonset.Container{
			ID: one.inside.ID, Name: c.Name, Pid: pid, StartTime: start, Runtime: "io.containerd.runc.v2",
			Pod: daemonset.Pod{Name: pod.Name, Namespace: "default"},
		}
		all = append(all, one)
	}
	return all
}

// run runs a command as the agent does.
func (c *run) run(args ...string) (exec.Result, error) {
	c.t.Helper()
	return c.within(patience, args...)
}

func (c *run) within(limit time.Duration, args ...string) (exec.Result, error) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 2*patience)
	defer cancel()
	r, err := c.Run(ctx, c.Container, exec.Command{Args: args, Timeout: limit})
	c.nothingLeft()
	return r, err
}

// sh is what a shell inside says.
func (c *run) sh(line string) string {
	c.t.Helper()
	out, err := c.inside.Exec(c.t.Context(), "sh", "-c", line)
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// nothingLeft wants no process of the name in containerd's shim.
func (c *run) nothingLeft() {
	c.t.Helper()
	if code := c.look(); code != codes.NotFound {
		c.t.Errorf("the process is left in containerd: %s", code)
	}
}

func (c *run) look() codes.Code {
	c.t.Helper()
	_, err := c.containerd.TaskService().Get(c.t.Context(), &tasks.GetRequest{ContainerID: c.ID, ExecID: execID})
	return status.Code(err)
}

// processes are the command lines inside that have the words in them.
func (c *run) processes(words string) []string {
	c.t.Helper()
	var found []string
	for line := range strings.Lines(c.sh("ps -o args")) {
		if strings.Contains(line, words) && !strings.Contains(line, "ps -o args") {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

// path is a file of the container's as the node sees it.
func (c *run) path(name string) string { return fmt.Sprintf("/proc/%d/root%s", c.Pid, name) }

// release lets go who reads the FIFO.
func (c *run) release(name string) {
	c.t.Helper()
	if err := os.WriteFile(c.path(name), []byte("go\n"), 0); err != nil {
		c.t.Error(err)
	}
}

// awaitFile waits until a command inside has made a file.
func (c *run) awaitFile(name string) {
	c.t.Helper()
	testenv.Await(c.t, func() bool {
		_, err := os.Stat(c.path(name))
		return err == nil
	})
}

// awaitStart waits until a command's start has been answered: then the name of its FIFO goes.
func (c *run) awaitStart() {
	c.t.Helper()
	testenv.Await(c.t, func() bool {
		entries, err := os.ReadDir(c.dir)
		return err == nil && len(entries) == 0
	})
}

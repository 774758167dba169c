package faults

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/agent"
	"github.com/podreload/podreload/testenv"
)

// target is one pod with one nginx, which this test supervises as a kubelet would.
type target struct {
	name    string
	profile string
	checked bool // a bad configuration must never get inside
	shell   bool // nginx runs below a shell that starts it again
	volume  bool // the files outlive the container

	pod    *testenv.Pod
	mounts []string // of its first container, before anything was done to it

	mu        sync.Mutex
	container *testenv.Container
	pid       int  // the container's init; 0 while there is none
	reloads   int  // proved ones, of all its containers
	counted   int  // of this container
	live      bool // something was Live in it
	down      []window
	failures  []failure
	lost      int // failed requests on connections that were kept alive, outside of windows
	excused   int // failures within windows
}

// window is a time in which the test itself had ended nginx. Its end is zero while it is open.
type window struct{ from, to time.Time }

// failure is a request that did not go well.
type failure struct {
	from, to time.Time
	kept     bool // over a connection that had been kept alive
	err      error
}

// supervise runs nginx again and again, without the workers that a killed master leaves: they hold
// its port.
const supervise = `trap 'exit 0' TERM; while :; do nginx -g 'daemon off;' & wait $!; killall -9 nginx; done`

func newTargets() []*target {
	return []*target{
		{name: "plain", profile: "checked", checked: true},
		{name: "shell", profile: "unchecked", shell: true},
		{name: "volume", profile: "checked", checked: true, volume: true},
	}
}

// run makes the pod; dir is where its volume would be.
func (t *target) run(ctx context.Context, n *testenv.Node, dir string) error {
	c := testenv.ContainerConfig{Name: "nginx"}
	if t.shell {
		c.Command = []string{"sh", "-c", supervise}
	}
	if t.volume {
		c.Mounts = []testenv.Mount{{HostPath: dir, ContainerPath: "/etc/nginx/conf.d"}}
	}
	var err error
	t.pod, err = n.RunPod(ctx, testenv.PodConfig{
		Name: t.name, Labels: map[string]string{agent.LabelProfile: t.profile}, Containers: []testenv.ContainerConfig{c},
	})
	if err != nil {
		return err
	}
	return t.took(ctx, t.pod.Container("nginx"))
}

// took makes a container the target's.
func (t *target) took(ctx context.Context, c *testenv.Container) error {
	pid, err := c.Pid(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.container, t.pid, t.counted, t.live = c, pid, 0, false
	return err
}

// restart puts a new container in the place of one that has ended.
func (t *target) restart(ctx context.Context) error {
	old, _ := t.now()
	t.mu.Lock()
	t.pid = 0
	t.mu.Unlock()
	c, err := t.pod.Restart(ctx, "nginx")
	if err != nil {
		return err
	}
	return errors.Join(t.took(ctx, c), old.Remove(ctx))
}

// now is the container, and its init's pid or 0.
func (t *target) now() (*testenv.Container, int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.container, t.pid
}

// settled is the init's pid, and whether something was Live in this container: from then on there
// is no way back to what its image had.
func (t *target) settled() (pid int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.pid, t.live
}

// recorded takes note of what the record of the target's container tells.
func (t *target) recorded(s daemonset.Status) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.ContainerID != t.container.ID {
		return
	}
	t.reloads += max(0, s.Reloads-t.counted)
	t.counted = s.Reloads
	t.live = t.live || s.State == daemonset.Live
}

// open begins a window, close ends the one that is open.
func (t *target) open() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.down = append(t.down, window{from: time.Now()})
}

func (t *target) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.down); n > 0 && t.down[n-1].to.IsZero() {
		t.down[n-1].to = time.Now()
	}
}

func (t *target) failed(f failure) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failures = append(t.failures, f)
}

// judge sorts the failures until now: those within a window are the test's own work, one on
// a connection that was kept alive is counted, any other must not be.
func (t *target) judge(e *events) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.failures {
		switch {
		case t.within(f):
			t.excused++
		case f.kept:
			t.lost++
		default:
			e.fail("%s: a request of %s failed %s ago: %v", t.name, f.to.Sub(f.from), time.Since(f.to), f.err)
		}
	}
	t.failures = nil
}

func (t *target) within(f failure) bool {
	for _, w := range t.down {
		if f.to.After(w.from) && (w.to.IsZero() || f.from.Before(w.to)) {
			return true
		}
	}
	return false
}

func (t *target) String() string {
	c, pid := t.now()
	return fmt.Sprintf("%s (container %.13s, process %d)", t.name, c.ID, pid)
}

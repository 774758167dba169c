package soak

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/daemonset/agent"
	"github.com/podreload/podreload/testenv"
)

// The paths in the containers that have a pod's number.
const (
	lightPath = "/etc/number"
	nginxPath = "/etc/nginx/conf.d/default.conf"
)

// conf is a profile of one file for each kind of pod. Each pod reads a key of its own.
func conf() map[string]string {
	const resource = "[template]\nsrc = \"%s.tmpl\"\ndest = %q\nprefix = '/soak/{{ pod }}'\nkeys = [\"/number\"]\n%s\n[profile]\nnamespaces = [\"default\"]\n%s\n"
	return map[string]string{
		"templates/light.tmpl": `number {{getv "/number"}}` + "\n",
		"templates/nginx.tmpl": `# number {{getv "/number"}}` + "\n" + `server { listen 80; location / { return 200 "number {{getv "/number"}}\n"; } }` + "\n",
		"conf.d/light.toml":    fmt.Sprintf(resource, "light", lightPath, `reload_signal = "USR1"`, `check = "off"`),
		"conf.d/nginx.toml":    fmt.Sprintf(resource, "nginx", nginxPath, "", `process = "nginx"`),
	}
}

// target is one pod of one container, and those that come in its place.
type target struct {
	name  string
	nginx bool

	putting sync.Mutex // so that the last number is the last that etcd has
	number  int

	mu  sync.Mutex
	pod *testenv.Pod
	pid int // the container's init; 0 while there is none
}

// catches is a shell that has a signal do nothing.
var catches = []string{"sh", "-c", "trap : USR1; while :; do sleep 1000; done"}

func (t *target) run(ctx context.Context, n *testenv.Node) error {
	c, profile := testenv.ContainerConfig{Name: "main", Command: catches}, "light"
	if t.nginx {
		c.Command, profile = nil, "nginx"
	}
	pod, err := n.RunPod(ctx, testenv.PodConfig{
		Name: t.name, Labels: map[string]string{agent.LabelProfile: profile}, Containers: []testenv.ContainerConfig{c},
	})
	if err != nil {
		return err
	}
	return t.took(ctx, pod)
}

func (t *target) took(ctx context.Context, pod *testenv.Pod) error {
	pid, err := pod.Container("main").Pid(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pod, t.pid = pod, pid
	return err
}

// leave takes the container away from the probes, and returns what it was.
func (t *target) leave() (*testenv.Pod, int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	pid := t.pid
	t.pid = 0
	return t.pod, pid
}

func (t *target) now() (*testenv.Pod, int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.pod, t.pid
}

// restart kills the container's first process and starts another container, as a kubelet does.
func (t *target) restart(ctx context.Context) error {
	pod, pid := t.leave()
	old := pod.Container("main")
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		return err
	}
	if _, err := pod.Restart(ctx, "main"); err != nil {
		return err
	}
	return errors.Join(t.took(ctx, pod), old.Remove(ctx))
}

// replace removes the pod and makes another of its name, as a StatefulSet does.
func (t *target) replace(ctx context.Context, n *testenv.Node) error {
	pod, _ := t.leave()
	if err := pod.Remove(ctx); err != nil {
		return err
	}
	return t.run(ctx, n)
}

// put gives the pod its next number.
func (t *target) put(ctx context.Context, e *testenv.Etcd) (int, error) {
	t.putting.Lock()
	defer t.putting.Unlock()
	t.number++
	_, err := e.Put(ctx, "/soak/"+t.name+"/number", fmt.Sprint(t.number))
	return t.number, err
}

// has is the number that stands in the container.
func (t *target) has(pid int) (n int, err error) {
	path := lightPath
	if t.nginx {
		path = nginxPath
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/root%s", pid, path))
	if err != nil {
		return 0, err
	}
	_, err = fmt.Sscanf(strings.TrimPrefix(string(text), "# "), "number %d", &n)
	return n, err
}

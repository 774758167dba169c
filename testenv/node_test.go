package testenv

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// web is the pod that podreload is about: a server of one thing beside nginx.
var web = PodConfig{
	Name:   "web-0",
	Labels: map[string]string{"app": "web"},
	Containers: []ContainerConfig{
		{Name: "registry", Command: []string{"httpd", "-f", "-p", "5000", "-h", "/www"}},
		{Name: "nginx"},
	},
}

func TestNode(t *testing.T) {
	for _, v := range []Version{Debian, V2} {
		t.Run(string(v), func(t *testing.T) {
			n := NewNode(t, v)
			ctx := t.Context()
			p, err := n.RunPod(ctx, web)
			if err != nil {
				t.Fatal(err)
			}
			t.Run("Namespaces", func(t *testing.T) { testNamespaces(t, p) })
			t.Run("Get", func(t *testing.T) { testGet(t, p) })
			t.Run("Processes", func(t *testing.T) { testProcesses(t, p) })
			t.Run("RestartContainerd", func(t *testing.T) { testRestartContainerd(t, p) })
			t.Run("RestartContainer", func(t *testing.T) { testRestartContainer(t, p) })
			t.Run("Variants", func(t *testing.T) { testVariants(t, n) })
			if err := n.Close(); err != nil {
				t.Error(err)
			}
			wantNothingLeft(t, n)
			if got := readlink(t, "/proc/self/ns/net"); got != readlink(t, "/proc/thread-self/ns/net") {
				t.Errorf("Dial has left the main thread in %s", got)
			}
		})
	}
}

func testNamespaces(t *testing.T, p *Pod) {
	a, b := namespaces(t, p.Container("registry")), namespaces(t, p.Container("nginx"))
	var shared []string
	for _, ns := range []string{"ipc", "mnt", "net", "pid", "uts"} {
		if a[ns] == b[ns] {
			shared = append(shared, ns)
		}
	}
	if diff := cmp.Diff([]string{"ipc", "net", "uts"}, shared); diff != "" {
		t.Errorf("shared namespaces (-want +got):\n%s", diff)
	}
}

func namespaces(t *testing.T, c *Container) map[string]string {
	t.Helper()
	pid, err := c.Pid(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ns := map[string]string{}
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/ns/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if ns[filepath.Base(l)], err = os.Readlink(l); err != nil {
			t.Fatal(err)
		}
	}
	return ns
}

func testGet(t *testing.T, p *Pod) {
	t.Helper()
	var got string
	err := Poll(t.Context(), func() (err error) {
		got, err = p.Get(t.Context(), 80, "/")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := "hello from the image\n"; got != want {
		t.Errorf("GET / = %q, want %q", got, want)
	}
}

func testProcesses(t *testing.T, p *Pod) {
	for name, other := range map[string]string{"registry": "nginx", "nginx": "httpd"} {
		out, err := p.Container(name).Exec(context.Background(), "ps", "-o", "pid,args")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out, other) {
			t.Errorf("ps in %s shows %s:\n%s", name, other, out)
		}
	}
}

func testRestartContainerd(t *testing.T, p *Pod) {
	c, ctx := p.Container("nginx"), t.Context()
	before, err := c.Pid(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.node.StopContainerd(); err != nil {
		t.Fatal(err)
	}
	testGet(t, p)
	if err := p.node.StartContainerd(ctx); err != nil {
		t.Fatal(err)
	}
	if after, err := c.Pid(ctx); after != before || err != nil {
		t.Errorf("pid of nginx = %d, %v; want %d as before", after, err, before)
	}
}

func testRestartContainer(t *testing.T, p *Pod) {
	ctx := t.Context()
	old := p.Container("nginx")
	c, err := p.Restart(ctx, "nginx")
	if err != nil {
		t.Fatal(err)
	}
	if c.ID == old.ID || c != p.Container("nginx") {
		t.Errorf("container %s after a restart, %s before", c.ID, old.ID)
	}
	testGet(t, p)
	wantRecords(t, p.node, map[uint32]string{0: "CONTAINER_EXITED", 1: "CONTAINER_RUNNING"})
	if err := old.Remove(ctx); err != nil {
		t.Fatal(err)
	}
	wantRecords(t, p.node, map[uint32]string{1: "CONTAINER_RUNNING"})
}

// wantRecords compares what containerd knows of containers called nginx, by attempt.
func wantRecords(t *testing.T, n *Node, want map[uint32]string) {
	t.Helper()
	r, err := n.runtime.ListContainers(t.Context(), &cri.ListContainersRequest{
		Filter: &cri.ContainerFilter{LabelSelector: map[string]string{"io.kubernetes.container.name": "nginx"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := map[uint32]string{}
	for _, c := range r.Containers {
		got[c.Metadata.Attempt] = c.State.String()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records of nginx by attempt (-want +got):\n%s", diff)
	}
}

// wantNothingLeft fails if a closed node has left a process, mount, cgroup, socket or file.
func wantNothingLeft(t *testing.T, n *Node) {
	t.Helper()
	if pids, err := processes(n.dir); len(pids) != 0 || err != nil {
		t.Errorf("processes left: %v, %v", pids, err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), n.dir) {
		t.Errorf("mounts left below %s:\n%s", n.dir, mounts)
	}
	if _, err := os.Stat(n.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: %v, want it gone", n.dir, err)
	}
	results, _ := filepath.Glob(cniResults + "/*")
	for _, f := range results {
		if b, _ := os.ReadFile(f); strings.Contains(string(b), n.dir) {
			t.Errorf("left: %s", f)
		}
	}
	for _, hierarchy := range []string{"", "/*"} { // v2, v1
		if cgroups, _ := filepath.Glob("/sys/fs/cgroup" + hierarchy + nodeCgroup(n.dir)); len(cgroups) != 0 {
			t.Errorf("cgroups left: %v", cgroups)
		}
	}
}

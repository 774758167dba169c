package testenv

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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
	var got string
	err := poll(t.Context(), func() (err error) {
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

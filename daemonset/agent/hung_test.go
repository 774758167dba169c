package agent_test

import (
	"fmt"
	"os"
	osexec "os/exec"
	"slices"
	"strconv"
	"testing"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/agent"
	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/testenv"
)

// TestHungContainersHoldNobody: more containers than there are crossings at once have a filesystem that
// hangs, as those of a dead NFS server do. Others are served as ever: those of another
// profile, and of the same.
func TestHungContainersHoldNobody(t *testing.T) {
	t.Parallel()
	const n = 40
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.applier.Timeout = nsenter.MaxDeadline
	pages := r.name + "-pages"
	r.resource(pages, `dest = "/usr/share/page"`)
	r.start() // before what is dead: that ends first
	labels := map[string]string{}
	var containers []testenv.ContainerConfig
	for i := range n {
		c := testenv.ContainerConfig{Name: fmt.Sprintf("c%d", i), Command: []string{"sleep", "infinity"}}
		containers = append(containers, c)
		labels[c.Name+"."+agent.LabelProfile] = pages
	}
	many := r.pod(testenv.PodConfig{Labels: labels, Containers: containers})
	inside := map[string]bool{}
	for _, c := range containers[1:] {
		dead(t, many.Container(c.Name), "/usr/share")
		for _, ns := range testenv.MountNamespaces(initPid(t, many.Container(c.Name))) {
			inside[ns] = true
		}
	}
	nginx := r.pod(testenv.PodConfig{Name: r.name + "-other"}).Container("nginx")

	r.live(nginx, r.put("one"))
	page := r.putKey("/"+pages+"/value", "one")
	eventually(t, "crossings hang", func() error {
		if hanging := shims(t, inside); hanging < n-1 {
			return fmt.Errorf("%d hang", hanging)
		}
		return nil
	})
	r.live(nginx, r.put("two"))
	r.applied(many.Container("c0"), page)
	for _, c := range containers[1:] {
		if rec, err := r.applier.Store.Load(many.Container(c.Name).ID); err == nil && rec.State == daemonset.Applied {
			t.Errorf("%s is %s, in a filesystem that hangs", c.Name, rec.State)
		}
	}
}

// dead mounts a filesystem of FUSE that answers nothing over a folder of a container, until the
// test ends. Whatever looks into it hangs in the kernel.
func dead(t *testing.T, c *testenv.Container, dir string) {
	t.Helper()
	fuse, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		testenv.Lacking(t, err)
	}
	t.Cleanup(func() { fuse.Close() })
	// By a process: a thread of this one that went there might be the main one, which cannot be thrown away.
	mount := osexec.CommandContext(t.Context(), "nsenter", "--mount", "--target", strconv.Itoa(initPid(t, c)),
		"busybox", "mount", "-t", "fuse", "-o", "fd=3,rootmode=40000,user_id=0,group_id=0", "dead", dir)
	mount.ExtraFiles = []*os.File{fuse}
	if out, err := mount.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// shims is how many shims of this process are in one of those mount namespaces. Other tests of
// the package have theirs at the same time.
func shims(t *testing.T, inside map[string]bool) (n int) {
	t.Helper()
	children, err := nsenter.Children(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	isOne := func(ns string) bool { return inside[ns] }
	for _, pid := range children {
		info, err := nsenter.ReadInfo(pid)
		if err == nil && info.Comm == "podreload-shim" && slices.ContainsFunc(testenv.MountNamespaces(pid), isOne) {
			n++
		}
	}
	return n
}

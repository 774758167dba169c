package check_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/podreload/podreload/testenv"
)

// limitMemory bounds a pod's memory, in bytes, with cgroups v1 or v2.
func (r *rig) limitMemory(run *testenv.Container, limit int) {
	r.t.Helper()
	for _, dir := range r.cgroups(run.ID) {
		for _, file := range []string{"memory.max", "memory.limit_in_bytes"} {
			path := filepath.Join(filepath.Dir(dir), file)
			if _, err := os.Stat(path); err != nil {
				continue
			}
			if err := os.WriteFile(path, []byte(strconv.Itoa(limit)), 0); err != nil {
				r.t.Fatal(err)
			}
			return
		}
	}
	r.t.Fatal("the pod has no cgroup for memory")
}

// TestRoomIsThePods: what a command may write is memory of the pod's, and leaves the server half of what there is.
func TestRoomIsThePods(t *testing.T) {
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	run, c := r.pod(testenv.PodConfig{}, testenv.ContainerConfig{Command: []string{"sleep", "1000000"}})
	const limit = 96 << 20
	r.limitMemory(run, limit)
	var blocks, size int
	for i, to := range []*int{&blocks, &size} {
		n, err := strconv.Atoi(strings.Fields(r.said(c, "stat", "-f", "-c", "%b %S", "/"))[i])
		if err != nil {
			t.Fatal(err)
		}
		*to = n
	}
	if room := blocks * size; room > limit/2 || room < limit/8 {
		t.Errorf("of %d MiB a command may take %d", limit>>20, room>>20)
	}
	trial := r.trial(c, file(conf, strings.Repeat("#", limit/4)), "true")
	if _, err := r.check(trial); err == nil || !strings.Contains(err.Error(), "memory limit") {
		t.Errorf("files for which there is no room: %v", err)
	}
}

// TestCgroupsInside: what a command makes inside the twin's own cgroup goes with it.
func TestCgroupsInside(t *testing.T) {
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	_, c := r.pod(testenv.PodConfig{}, testenv.ContainerConfig{Privileged: true})
	if said := r.said(c, "sh", "-c", `for d in /sys/fs/cgroup/memory /sys/fs/cgroup; do
	mount -o remount,rw $d 2>/dev/null
	for p in $(sed -n 's/^.*:memory://p; s/^0:://p' /proc/self/cgroup) /; do mkdir $d/$p/inside $d/$p/inside/deeper 2>/dev/null && echo made && exit; done
done`); said != "made" {
		t.Fatalf("it could make none: %q", said)
	}
	// The rig wants nothing to be left, and no error said.
}

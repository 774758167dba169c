package check_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/check"
	"github.com/podreload/podreload/testenv"
)

// limitMemory bounds a pod's memory, in bytes, with cgroups v1 or v2.
func (r *rig) limitMemory(run *testenv.Container, limit int) {
	r.t.Helper()
	r.setMemory(run.ID, "..", limit)
}

// setMemory bounds that of a container, or of the cgroup that it is in.
func (r *rig) setMemory(id, where string, limit int) {
	r.t.Helper()
	for _, dir := range r.cgroups(id) {
		for _, file := range []string{"memory.max", "memory.limit_in_bytes"} {
			path := filepath.Join(dir, where, file)
			if _, err := os.Stat(path); err != nil {
				continue
			}
			if err := os.WriteFile(path, []byte(strconv.Itoa(limit)), 0); err != nil {
				r.t.Fatal(err)
			}
			return
		}
	}
	r.t.Fatalf("%s has no cgroup for memory", id)
}

// room is how much a trial in the container may take, in bytes.
func (r *rig) room(c daemonset.Container) int {
	r.t.Helper()
	var blocks, size int
	if _, err := fmt.Sscan(r.said(c, "stat", "-f", "-c", "%b %S", "/"), &blocks, &size); err != nil {
		r.t.Fatal(err)
	}
	return blocks * size
}

// TestRoomIsThePods: what a command may write is memory of the pod's, and leaves the server half of what there is.
func TestRoomIsThePods(t *testing.T) {
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	run, c := r.pod(testenv.PodConfig{}, testenv.ContainerConfig{Command: []string{"sleep", "1000000"}})
	const limit = 96 << 20
	r.limitMemory(run, limit)
	if room := r.room(c); room > limit/2 || room < limit/8 {
		t.Errorf("of %d MiB a command may take %d", limit>>20, room>>20)
	}
	trial := r.trial(c, file(conf, strings.Repeat("#", limit/4)), "true")
	if _, err := r.check(trial); err == nil || !strings.Contains(err.Error(), "memory limit") {
		t.Errorf("files for which there is no room: %v", err)
	}
}

// TestNoRoom: that a twin has no more memory is no verdict, and no lasting property of the container.
func TestNoRoom(t *testing.T) {
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	run, c := r.pod(testenv.PodConfig{}, testenv.ContainerConfig{Command: []string{"sh", "-c", "dd if=/dev/zero of=/log bs=1M count=60; touch /done; sleep 1000000"}})
	testenv.Await(t, func() bool {
		_, err := os.Stat("/proc/" + strconv.Itoa(c.Pid) + "/root/done")
		return err == nil
	})
	r.limitMemory(run, 100<<20)
	for name, script := range map[string]string{
		"it fills its copy":     "cat /dev/zero >/big",
		"it appends to its log": "echo x >>/log", // of which nothing is left then
	} {
		_, err := r.check(r.trial(c, nil, "sh", "-c", script))
		if err == nil || errors.Is(err, check.ErrRefused) || errors.Is(err, check.ErrUnsupported) ||
			!strings.Contains(err.Error(), "no room") || !strings.Contains(err.Error(), "memory limits") || strings.Contains(err.Error(), "256") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRoomIsTheTwins: what the container has used up of its own limit is not the twin's loss, which has one as large.
func TestRoomIsTheTwins(t *testing.T) {
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	run, _ := r.pod(testenv.PodConfig{}, testenv.ContainerConfig{})
	const limit = 48 << 20
	c := r.confined(run, r.last, limit)
	r.setMemory(c.ID, ".", 4<<20)
	if room := r.room(c); room != limit/2 {
		t.Errorf("of %d MiB a command may take %d KiB", limit>>20, room>>10)
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

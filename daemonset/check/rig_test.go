package check_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/check"
	"github.com/podreload/podreload/daemonset/turns"
	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/shim"
	"github.com/podreload/podreload/testenv"
)

// crosser writes and compares as the agent does.
type crosser struct {
	shim *nsenter.Shim
	maps []shim.IDMap // of the container's user namespace
}

func (x crosser) cross(ctx context.Context, init *nsenter.Process, op shim.Op, files []daemonset.File) error {
	req := shim.Request{Op: op, UIDMap: x.maps, GIDMap: x.maps}
	for _, f := range files {
		req.Files = append(req.Files, shim.File{Path: f.Path, Data: f.Data, Mkdir: f.Mkdir})
	}
	body, err := req.Encode()
	if err != nil {
		return err
	}
	reply, err := x.shim.Cross(ctx, init, nil, body)
	if err != nil {
		return err
	}
	result, err := shim.DecodeResult(reply)
	if err != nil {
		return err
	}
	if err := result.Err(); err != nil {
		return err
	}
	if op == shim.Compare && result.Changed() {
		return fmt.Errorf("the twin does not see the files: %+v", result.Files)
	}
	return nil
}

func (x crosser) trial(c daemonset.Container, files []daemonset.File, args ...string) check.Trial {
	return check.Trial{
		Container: c, Files: files, Commands: []check.Command{{Args: args}},
		Write: func(ctx context.Context, init *nsenter.Process) error {
			return x.cross(ctx, init, shim.Apply, files)
		},
		Verify: func(ctx context.Context, init *nsenter.Process) error {
			return x.cross(ctx, init, shim.Compare, files)
		},
	}
}

// rig is a Checker on a node, with what it needs.
type rig struct {
	crosser
	t       testing.TB
	node    *testenv.Node
	checker *check.Checker
	dir     string
	last    *testenv.Pod // that pod made
	removed *testenv.Pod // by the test itself
	root    string       // the cgroup of the node, which has others beside it
}

func newRig(t testing.TB, node *testenv.Node) *rig {
	t.Helper()
	sealed, err := nsenter.Seal(testenv.Shim(t))
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{crosser: crosser{shim: sealed}, t: t, node: node, dir: t.TempDir()}
	if err := os.Chmod(filepath.Dir(r.dir), 0o711); err != nil { // as /run is
		t.Fatal(err)
	}
	if r.checker, err = check.Open(r.dir, turns.New(check.AtOnce(), check.Turn), func(err error) { t.Error(err) }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(r.checker.Close(), sealed.Close()); err != nil {
			t.Error(err)
		}
		r.nothingLeft()
	})
	return r
}

// nothingLeft wants no folder, mount, cgroup or process of a twin.
func (r *rig) nothingLeft() {
	r.t.Helper()
	if entries, err := os.ReadDir(r.dir); err != nil || len(entries) > 0 {
		r.t.Errorf("left in %s: %v, %v", r.dir, entries, err)
	}
	children, err := nsenter.Children(os.Getpid())
	if err != nil {
		r.t.Error(err)
	}
	for _, pid := range children {
		if info, err := nsenter.ReadInfo(pid); err == nil && strings.HasPrefix(info.Comm, "runc") {
			r.t.Errorf("a process is left: %d %s, in state %c", pid, info.Comm, info.State)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(mounts), r.dir) {
		r.t.Errorf("mounts are left below %s: %v", r.dir, err)
	}
	if dirs := r.cgroups("podreload-"); len(dirs) > 0 {
		r.t.Errorf("cgroups are left: %q", dirs)
	}
}

// cgroups are the cgroups of twins of the rig's node, v1 or v2.
func (r *rig) cgroups(prefix string) (dirs []string) {
	r.t.Helper()
	if r.root == "" {
		return nil // it has made no pod
	}
	for _, hierarchy := range []string{"", "*/"} {
		found, err := filepath.Glob("/sys/fs/cgroup/" + hierarchy + r.root + "/kubepods/besteffort/pod*/" + prefix + "*")
		if err != nil {
			r.t.Fatal(err)
		}
		dirs = append(dirs, found...)
	}
	return dirs
}

var pods atomic.Int32

// pod runs a pod of one container, main, and returns it as package pods does.
func (r *rig) pod(pod testenv.PodConfig, c testenv.ContainerConfig) (*testenv.Container, daemonset.Container) {
	r.t.Helper()
	c.Name = "main"
	pod.Name = fmt.Sprintf("pod-%d", pods.Add(1))
	pod.Containers = []testenv.ContainerConfig{c}
	p, err := r.node.RunPod(r.t.Context(), pod)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if r.removed == p {
			return
		}
		if err := p.Remove(context.Background()); err != nil {
			r.t.Error(err)
		}
	})
	r.last = p
	run := p.Container("main")
	pid, err := run.Pid(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	r.root = strings.Split(cgroupOf(r.t, pid), "/")[1]
	if len(r.cgroups(run.ID)) == 0 {
		r.t.Fatalf("the cgroup %s is not found: what is left of twins would not be either", cgroupOf(r.t, pid))
	}
	return run, daemonset.Container{
		ID: run.ID, Name: "main", Pid: pid, StartTime: startTime(r.t, pid), Runtime: "io.containerd.runc.v2",
		Pod: daemonset.Pod{Name: pod.Name, Namespace: "default"},
	}
}

func startTime(t testing.TB, pid int) uint64 {
	t.Helper()
	start, err := nsenter.StartTime(pid)
	if err != nil {
		t.Fatal(err)
	}
	return start
}

func (r *rig) check(t check.Trial) (check.Verdict, error) {
	r.t.Helper()
	return r.checker.Check(r.t.Context(), t)
}

const conf = "/etc/nginx/conf.d/default.conf"

func file(path, text string) []daemonset.File {
	return []daemonset.File{{Path: path, Data: []byte(text)}}
}

const good = "server { listen 80; location / { return 200 \"new\"; } }\n"

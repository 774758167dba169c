package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/testenv"
)

// testOutOfMemory fills what the agent's container may have of memory, with pages that nobody
// can take back: those of a file in memory, written from within its cgroup. The kernel kills who has
// most, which is the agent.
func (r *rig) testOutOfMemory() {
	before, restarts := r.are(2, daemonset.Live), r.restarts()
	cgroup := r.memoryCgroup()
	file := filepath.Join(r.Run(), "filled")
	defer os.Remove(file)
	ctx, cancel := context.WithTimeout(r.t.Context(), waitTimeout)
	defer cancel()
	// More than the limit; it ends with the container or at the end of the file system. In a shell of its
	// own, which goes where the test must not.
	fill := exec.CommandContext(ctx, "sh", "-c", `echo $$ >"$0/cgroup.procs" && exec dd if=/dev/zero of="$1" bs=1M count=600`, cgroup, file)
	out, err := fill.CombinedOutput()
	r.t.Logf("filled: %v, %s", err, bytes.TrimSpace(out))
	if err := os.Remove(file); err != nil {
		r.t.Fatal(err)
	}
	if err := testenv.Poll(ctx, func() error {
		out, err := r.Kubectl(ctx, "-n", "podreload", "get", "pods", "-o", "jsonpath={.items[*].status.containerStatuses[0].lastState.terminated.reason}")
		if err == nil && out != "OOMKilled" {
			err = fmt.Errorf("why the container has ended last: %q, want OOMKilled", out)
		}
		return err
	}); err != nil {
		r.t.Fatal(err)
	}
	r.put("after the kill")
	r.eachServes("web", "after the kill")
	r.reloadedOnce(before, r.are(2, daemonset.Live))
	if after := r.restarts(); after == restarts {
		r.t.Errorf("the agent is %s still", after)
	}
}

// memoryCgroup is the folder of the cgroup that bounds the agent's memory.
func (r *rig) memoryCgroup() string {
	r.t.Helper()
	text, err := os.ReadFile(filepath.Join(r.daemon(), "cgroup"))
	if err != nil {
		r.t.Fatal(err)
	}
	for l := range strings.Lines(string(text)) {
		fields := strings.SplitN(strings.TrimSpace(l), ":", 3) // v1 has a line for each controller, v2 one for all
		for _, limit := range []string{"/sys/fs/cgroup/memory%s/memory.limit_in_bytes", "/sys/fs/cgroup%s/memory.max"} {
			file := fmt.Sprintf(limit, fields[2])
			if _, err := os.Stat(file); err == nil && strings.HasPrefix(fields[2], r.Node().Cgroup()) {
				return filepath.Dir(file)
			}
		}
	}
	r.t.Fatalf("no cgroup bounds the agent's memory:\n%s", text)
	return ""
}

// testReboot: the node is cut off its power while etcd is away. Pods that come back get what was live
// last, and with etcd back what is new.
func (r *rig) testReboot() {
	of := r.live("before the boot")
	before := r.are(2, daemonset.Live)
	r.awaitKept("before the boot")
	r.etcd.Stop()
	if err := r.PowerOff(); err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), startTimeout)
	defer cancel()
	if err := testenv.Poll(ctx, func() error { // zombies have to be collected
		if left := r.processes(); len(left) > 0 {
			return fmt.Errorf("processes run without power: %v", left)
		}
		return nil
	}); err != nil {
		r.t.Fatal(err)
	}
	if err := r.Boot(ctx); err != nil {
		r.t.Fatal(err)
	}
	stale := r.are(2, daemonset.Stale, of, "waiting for etcd")
	r.eachServes("web", "before the boot")
	for _, s := range stale {
		for _, old := range before {
			if s.ContainerID == old.ContainerID {
				r.t.Errorf("%s is in the container that it was in before the boot", s.Pod)
			}
		}
	}
	if err := r.etcd.Start(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	r.put("after the boot")
	r.eachServes("web", "after the boot")
	r.reloadedOnce(stale, r.are(2, daemonset.Live))
}

// awaitKept waits until a value is on the disk: a cut of power leaves the agent no time to write
// what it has gathered.
func (r *rig) awaitKept(value string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), waitTimeout)
	defer cancel()
	if err := testenv.Poll(ctx, func() error {
		files, err := filepath.Glob(filepath.Join(r.lasting(), "snapshots", "*"))
		for _, file := range files {
			if text, err := os.ReadFile(file); err == nil && bytes.Contains(text, []byte(value)) {
				return nil
			}
		}
		return errors.Join(fmt.Errorf("none of %q has %q", files, value), err)
	}); err != nil {
		r.t.Fatal(err)
	}
}

// testEarlierState gives an agent what earlier versions wrote: the records of its targets in the first
// format, and the files of daemonset/state/testdata/before as they are.
func (r *rig) testEarlierState() {
	before := r.are(2, daemonset.Live)
	r.kubectl("-n", "podreload", "delete", "daemonset", "podreload", "--cascade=foreground", "--wait")
	root, err := testenv.Repository()
	if err != nil {
		r.t.Fatal(err)
	}
	dir := filepath.Join(root, "daemonset", "state", "testdata", "before")
	first := readJSON(r, filepath.Join(dir, "record-1.json"))
	for _, s := range before {
		file := filepath.Join(r.state(), "targets", s.ContainerID+".json")
		r.write(file, as(first, readJSON(r, file)))
	}
	r.write(filepath.Join(r.lasting(), "pauses.json"), readJSON(r, filepath.Join(dir, "pauses-1.json")))
	history := readJSON(r, filepath.Join(dir, "history-1.json"))
	name := sha256.Sum256([]byte(history["target"].(string)))
	r.write(filepath.Join(r.lasting(), "history", hex.EncodeToString(name[:16])+".json"), history)

	r.install()
	r.put("while paused")
	paused := r.are(2, daemonset.Paused, "pause by user 0")
	for i, s := range paused { // in the order of their names, as before
		if was := before[i]; s.ContainerID != was.ContainerID || s.Reloads != was.Reloads || s.Digest != was.Digest {
			r.t.Errorf("%+v is not as it was: %+v", s, was)
		}
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), waitTimeout)
	defer cancel()
	if out, err := r.podreload(ctx, "history", history["target"].(string)); err != nil || !strings.Contains(out, "/a") {
		r.t.Errorf("podreload history: %q, %v, want that of a version before", out, err)
	}
	for _, what := range []string{"--all", "--profile=web"} {
		if _, err := r.podreload(ctx, "resume", what); err != nil {
			r.t.Error(err)
		}
	}
	r.eachServes("web", "while paused")
	r.reloadedOnce(before, r.are(2, daemonset.Live))
}

func readJSON(r *rig, file string) map[string]any {
	r.t.Helper()
	text, err := os.ReadFile(file)
	var v map[string]any
	if err == nil {
		err = json.Unmarshal(text, &v)
	}
	if err != nil {
		r.t.Fatalf("%s: %v", file, err)
	}
	return v
}

func (r *rig) write(file string, v any) {
	r.t.Helper()
	text, err := json.Marshal(v)
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// as is a document as an earlier version would have written it: of its version, and with the fields
// that the example of it has.
func as(example, document map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range document {
		if example[k] == nil && k != "reason" {
			continue
		}
		if k == "good" {
			known := map[string]bool{}
			for _, e := range example[k].([]any) {
				for field := range e.(map[string]any) {
					known[field] = true
				}
			}
			for _, file := range v.([]any) {
				for field := range file.(map[string]any) {
					if !known[field] {
						delete(file.(map[string]any), field)
					}
				}
			}
		}
		out[k] = v
	}
	out["version"] = example["version"]
	return out
}

// testKeptForRoot: what is kept on the node's disk is root's alone, and some kilobytes only.
func (r *rig) testKeptForRoot() {
	var sum int64
	if err := filepath.WalkDir(r.lasting(), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = fs.ModeDir | 0o700
		}
		if path != r.lasting() && info.Mode() != want { // that one is the kubelet's
			r.t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
		}
		if !d.IsDir() {
			sum += info.Size()
		}
		return nil
	}); err != nil {
		r.t.Fatal(err)
	}
	r.t.Logf("kept on disk after all of this: %d bytes", sum)
	if sum > 1<<20 {
		r.t.Errorf("%d bytes are kept of a handful of pods", sum)
	}
}

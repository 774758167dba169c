package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/podreload/podreload/testenv"
)

// nothingLeft looks for what a removed agent must not leave: processes, mounts, files
// but those that daemonset/README.md says, and anything of its own in pods.
func (r *rig) nothingLeft(apps ...string) {
	r.t.Helper()
	for pid, line := range r.processes() {
		r.t.Errorf("process %d is left: %q", pid, line)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		r.t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, r.state()+"/") {
			r.t.Errorf("a mount is left: %s", line)
		}
	}
	// What was applied and what was there before, by container: gone with a reboot.
	if diff := cmp.Diff([]string{"contents", "daemon", "files", "locks", "targets"}, r.below(r.state())); diff != "" {
		r.t.Errorf("files below --state (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"contents", "daemon", "history", "snapshots"}, r.below(r.lasting())); diff != "" {
		r.t.Errorf("files below --root (-want +got):\n%s", diff)
	}
	for _, app := range apps {
		if out := r.kubectl("exec", "deployment/"+app, "-c", "nginx", "--", "find", "/etc", "/run", "/tmp", "/var", "-name", "*podreload*"); out != "" {
			r.t.Errorf("files in a pod of %s: %s", app, out)
		}
		if out := r.kubectl("exec", "deployment/"+app, "-c", "nginx", "--", "ps"); strings.Contains(out, "podreload") {
			r.t.Errorf("processes in a pod of %s:\n%s", app, out)
		}
	}
}

// below are the names in a directory below which there are files.
func (r *rig) below(dir string) []string {
	r.t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(dir, path)
			files = append(files, strings.Split(name, "/")[0])
		}
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	slices.Sort(files)
	return slices.Compact(files)
}

// testMounts looks into the agent's mount namespace: what was unmounted on the node, of containers
// that were there before the agent and have ended, must not be mounted there still, or their disk space
// would never be free.
func (r *rig) testMounts() {
	r.deploy("mounted", "", "")
	r.kubectl("-n", "podreload", "rollout", "restart", "daemonset/podreload")
	r.rolledOut("podreload", "daemonset/podreload")
	r.kubectl("delete", "deployment", "mounted", "--wait")
	r.kubectl("wait", "--for=delete", "pod", "-l", "app=mounted", "--timeout", waitTimeout.String())
	ctx, cancel := context.WithTimeout(r.t.Context(), waitTimeout)
	defer cancel()
	err := testenv.Poll(ctx, func() error {
		node := mountPoints("self")
		seen, stale := 0, []string{}
		for pid, line := range r.processes() {
			if !isDaemon(line) {
				continue
			}
			for point := range mountPoints(strconv.Itoa(pid)) {
				below, ok := strings.CutPrefix(point, "/run/containerd/")
				// Only roots and the pods' shm: what is mounted in the agent's own root shows there, too.
				if base := filepath.Base(point); !ok || base != "rootfs" && base != "shm" {
					continue
				}
				seen++
				if !node[filepath.Join(r.Node().Dir(), below)] {
					stale = append(stale, point)
				}
			}
		}
		if seen == 0 {
			return errors.New("the agent sees no mount of any container: this would see none that is stale")
		}
		if len(stale) > 0 {
			return fmt.Errorf("of %d mounts below /run/containerd %d are stale: %q", seen, len(stale), stale)
		}
		return nil
	})
	if err != nil {
		r.t.Error(err)
	}
}

// mountPoints are those of a process's mount namespace.
func mountPoints(pid string) map[string]bool {
	points := map[string]bool{}
	b, _ := os.ReadFile("/proc/" + pid + "/mountinfo")
	for line := range strings.Lines(string(b)) {
		if fields := strings.Fields(line); len(fields) > 4 { // proc_pid_mountinfo(5)
			points[fields[4]] = true
		}
	}
	return points
}

// processes are podreload's in the cluster, by pid.
func (r *rig) processes() map[int]string {
	r.t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		r.t.Fatal(err)
	}
	found := map[int]string{}
	for _, dir := range dirs {
		cgroup, _ := os.ReadFile(filepath.Join(dir, "cgroup"))
		line, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		name, _ := os.ReadFile(filepath.Join(dir, "comm"))
		// Those of other tests on this machine are not ours.
		if bytes.Contains(cgroup, []byte(r.Node().Cgroup()+"/")) && bytes.Contains(append(line, name...), []byte("podreload")) {
			pid, err := strconv.Atoi(filepath.Base(dir))
			if err != nil {
				r.t.Fatal(err)
			}
			found[pid] = string(line)
		}
	}
	return found
}

// isDaemon tells the agent from what else podreload does by its command line.
func isDaemon(line string) bool { return strings.Contains(line, "\x00daemon\x00") }

// absence measures how long the node has no agent, until it is asked.
func (r *rig) absence() func() time.Duration {
	ctx, cancel := context.WithCancel(r.t.Context())
	total := make(chan time.Duration)
	go func() {
		var sum time.Duration
		var since time.Time // of the last look at which there was none
		for ctx.Err() == nil {
			here := r.daemon() != ""
			now := time.Now()
			if !since.IsZero() {
				sum += now.Sub(since)
			}
			since = now
			if here {
				since = time.Time{}
			}
		}
		total <- sum
	}()
	return func() time.Duration {
		cancel()
		return (<-total).Round(10 * time.Millisecond)
	}
}

// memory tells what the agent's and its shim's processes have, and what their container is charged
// for now and was at most: the program in memory that makes twins is its as well.
func (r *rig) memory() string {
	var out []string
	for pid, line := range r.processes() {
		proc := filepath.Join("/proc", strconv.Itoa(pid))
		status, _ := os.ReadFile(filepath.Join(proc, "status"))
		for l := range strings.Lines(string(status)) {
			if strings.HasPrefix(l, "VmRSS") {
				out = append(out, filepath.Base(strings.Split(line, "\x00")[0])+" "+strings.Join(strings.Fields(l), " "))
			}
		}
		if !isDaemon(line) {
			continue
		}
		cgroups, _ := os.ReadFile(filepath.Join(proc, "cgroup"))
		for l := range strings.Lines(string(cgroups)) {
			fields := strings.SplitN(strings.TrimSpace(l), ":", 3)
			if len(fields) < 3 {
				continue
			}
			for _, file := range []string{"usage_in_bytes", "max_usage_in_bytes", "current", "peak"} {
				for _, root := range []string{"/sys/fs/cgroup/memory", "/sys/fs/cgroup"} {
					if b, err := os.ReadFile(filepath.Join(root, fields[2], "memory."+file)); err == nil {
						out = append(out, "memory."+file+" "+strings.TrimSpace(string(b)))
					}
				}
			}
		}
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), ", ")
}

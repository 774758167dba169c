package e2e

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
)

// nothingLeft looks for what a removed agent must not leave: processes, mounts, files
// but those that daemonset/README.md says, and anything of its own in pods.
func (r *rig) nothingLeft(apps ...string) {
	r.t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		r.t.Fatal(err)
	}
	for _, p := range processes {
		cgroup, _ := os.ReadFile(filepath.Join(filepath.Dir(p), "cgroup"))
		line, _ := os.ReadFile(p)
		// The shim's command line is empty but for its name; those of other tests are not ours.
		if bytes.Contains(cgroup, []byte(r.Node().Cgroup())) && bytes.Contains(line, []byte("podreload")) {
			r.t.Errorf("a process is left: %q", line)
		}
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
	var files []string
	err = filepath.WalkDir(r.state(), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(r.state(), path)
			files = append(files, strings.Split(name, "/")[0])
		}
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	slices.Sort(files)
	// What was applied and what was there before, by container: gone with a reboot.
	if diff := cmp.Diff([]string{"contents", "daemon", "files", "locks", "targets"}, slices.Compact(files)); diff != "" {
		r.t.Errorf("files below --state (-want +got):\n%s", diff)
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

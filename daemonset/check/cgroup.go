package check

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cgroupRoot is where a node has its cgroups mounted: v2 there, v1 in a folder for each
// hierarchy below it, a hybrid node both.
const cgroupRoot = "/sys/fs/cgroup"

// cgroup is one cgroup, in all hierarchies that have it.
type cgroup struct{ dirs []string }

// findCgroup finds what a spec's cgroupsPath came to.
func findCgroup(path string) cgroup {
	if slice, prefix, id, ok := systemdForm(path); ok {
		path = expandSlice(slice) + "/" + prefix + "-" + id + ".scope"
	}
	var c cgroup
	entries, err := os.ReadDir(cgroupRoot)
	if err != nil {
		return c
	}
	roots := []string{cgroupRoot}
	for _, e := range entries {
		roots = append(roots, filepath.Join(cgroupRoot, e.Name()))
	}
	for _, root := range roots {
		dir := filepath.Join(root, filepath.Clean("/"+path))
		if s, err := os.Lstat(dir); err == nil && s.IsDir() {
			c.dirs = append(c.dirs, dir)
		}
	}
	return c
}

// expandSlice makes "/a.slice/a-b.slice" of "a-b.slice": systemd.slice(5).
func expandSlice(slice string) string {
	name := strings.TrimSuffix(slice, ".slice")
	if name == "-" || name == "" {
		return ""
	}
	var path strings.Builder
	for i := range len(name) {
		if name[i] == '-' {
			path.WriteString("/" + name[:i] + ".slice")
		}
	}
	return path.String() + "/" + name + ".slice"
}

// counted reads a counter of the cgroup, in a file of lines "name value". 0: there is none.
func (c cgroup) counted(file, name string) int {
	for _, dir := range c.dirs {
		b, err := readFile(filepath.Join(dir, file))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			if n, err := strconv.Atoi(value); err == nil && key == name {
				return n
			}
		}
	}
	return 0
}

// outOfMemory says whether the kernel has killed a process of it for want of memory.
func (c cgroup) outOfMemory() bool {
	return c.counted("memory.events", "oom_kill") > 0 || c.counted("memory.oom_control", "oom_kill") > 0
}

// outOfPids says whether a fork in it has failed at its limit.
func (c cgroup) outOfPids() bool { return c.counted("pids.events", "max") > 0 }

// frozen says whether it is paused, itself or with its pod.
func (c cgroup) frozen() bool {
	if c.counted("cgroup.events", "frozen") > 0 {
		return true
	}
	for _, dir := range c.dirs {
		if b, err := readFile(filepath.Join(dir, "freezer.state")); err == nil && strings.TrimSpace(string(b)) != "THAWED" {
			return true
		}
	}
	return false
}

// processes are the pids of all that is in it.
func (c cgroup) processes() []int {
	var pids []int
	for _, dir := range c.dirs {
		b, err := readFile(filepath.Join(dir, "cgroup.procs"))
		if err != nil {
			continue // gone, or a hierarchy of another kind
		}
		for field := range strings.FieldsSeq(string(b)) {
			if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// remove kills what is in it and removes it. The kernel tells nobody when a
// cgroup of v1 gets empty, and says EBUSY until then.
func (c cgroup) remove(ctx context.Context) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		var busy []error
		for _, pid := range c.processes() {
			if err := killIn(c, pid); err != nil {
				busy = append(busy, err)
			}
		}
		for _, dir := range c.dirs {
			if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
				busy = append(busy, fmt.Errorf("remove cgroup %s: %w", dir, err))
			}
		}
		if len(busy) == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(busy...)
		}
	}
}

// killIn kills a process that was seen in the cgroup, and no successor of it: it is
// looked for there again once it is pinned.
func killIn(c cgroup, pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err == nil {
		defer unix.Close(fd)
		if slices.Contains(c.processes(), pid) {
			err = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		}
	}
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill process %d: %w", pid, err)
	}
	return nil
}

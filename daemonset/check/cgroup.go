package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
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

// parent is the cgroup that it is in.
func (c cgroup) parent() (up cgroup) {
	for _, dir := range c.dirs {
		up.dirs = append(up.dirs, filepath.Dir(dir))
	}
	return up
}

// memoryLeft is how much memory can be taken in the cgroup until a limit is met, its own or of one that it is
// in, in bytes; without a limit, more than there is. Pages of files that the kernel drops first count as
// free: cgroup-v2.rst, Memory, and cgroup-v1/memory.rst.
func (c cgroup) memoryLeft() int64 {
	left := int64(math.MaxInt64)
	for _, dir := range c.dirs {
		for ; strings.HasPrefix(dir, cgroupRoot+"/"); dir = filepath.Dir(dir) {
			at := cgroup{[]string{dir}}
			limit, used := at.number("memory.max", "memory.limit_in_bytes"), at.number("memory.current", "memory.usage_in_bytes")
			if limit < 0 || used < 0 || limit >= 1<<50 { // v1 has no word for none
				continue
			}
			free := int64(max(at.counted("memory.stat", "inactive_file"), at.counted("memory.stat", "total_inactive_file")))
			left = min(left, max(0, limit-used+free))
		}
	}
	return left
}

// number reads the first of the files that there is; -1: none has a number.
func (c cgroup) number(files ...string) int64 {
	for _, dir := range c.dirs {
		for _, file := range files {
			b, err := readFile(filepath.Join(dir, file))
			if err != nil {
				continue
			}
			if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && n >= 0 {
				return n
			}
		}
	}
	return -1
}

// remove kills what is in it and removes it, and what a command has made inside. The kernel tells nobody when a
// cgroup of v1 gets empty, and says EBUSY until then.
func (c cgroup) remove(ctx context.Context) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for all := c; ; all = c.within() {
		var busy []error
		for _, pid := range all.processes() {
			if err := killIn(all, pid); err != nil {
				busy = append(busy, err)
			}
		}
		for _, dir := range all.dirs {
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

// maxWithin bounds how many cgroups inside a twin's are seen to at a time.
const maxWithin = 4096

// within is the cgroup with all that are inside, each before the one that it is in.
func (c cgroup) within() (all cgroup) {
	for _, dir := range c.dirs {
		filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			switch {
			case err != nil || !e.IsDir(): // it goes away
				return nil
			case len(all.dirs) >= maxWithin:
				return fs.SkipAll
			}
			all.dirs = append(all.dirs, path)
			return nil
		})
	}
	slices.Reverse(all.dirs)
	return all
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

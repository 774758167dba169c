package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/nsenter"
)

// adopt makes this process the parent of what its children leave: what the agent
// left when it was killed is found below us.
func adopt(t *testing.T) {
	t.Helper()
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
}

// collect reaps the adopted, as a node's init does: a cgroup with a zombie in it cannot be removed. Those
// that were started here have somebody who waits for them: own, and containerd.
func collect(ctx context.Context) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		reapAdopted()
	}
}

func reapAdopted() {
	own.Lock()
	defer own.Unlock()
	children, err := nsenter.Children(os.Getpid())
	if err != nil {
		return // there is a next time
	}
	for _, pid := range children {
		info, err := nsenter.ReadInfo(pid)
		if err == nil && info.State == 'Z' && !own.pids[pid] && info.Comm != "containerd" {
			_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
		}
	}
}

// wantNothingLeft looks at all that could be left once the agent has ended in order.
func (r *rig) wantNothingLeft() {
	r.t.Helper()
	for what, look := range map[string]func() ([]string, error){
		"processes": r.leftProcesses, "mounts on the node": r.mounts, "mounts in containers": r.leftMounts,
		"cgroups": r.leftCgroups, "files of the state": r.leftState, "files in containers": r.leftFiles,
	} {
		if err := r.await("no "+what+" are left", func() error {
			left, err := look()
			if err == nil && len(left) > 0 {
				err = errors.New(strings.Join(left, "\n"))
			}
			return err
		}); err != nil {
			r.t.Error(err)
		}
	}
}

// theirs are the names of what runs in the pods' containers.
var theirs = []string{"nginx", "sh", "killall"}

// leftProcesses are our descendants but those of containerd and what is the pods' containers' own.
func (r *rig) leftProcesses() ([]string, error) {
	reapAdopted() // what has ended since collect did
	inside := map[string]bool{}
	for _, t := range r.targets {
		_, pid := t.now()
		ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid))
		if err != nil {
			return nil, err
		}
		inside[ns] = true
	}
	var left []string
	for todo := []int{os.Getpid()}; len(todo) > 0; todo = todo[1:] {
		children, err := nsenter.Children(todo[0])
		if err != nil {
			continue // it has ended
		}
		todo = append(todo, children...)
		for _, pid := range children {
			info, err := nsenter.ReadInfo(pid)
			ns, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid))
			if err != nil || inside[ns] && slices.Contains(theirs, info.Comm) || pid == r.etcd.process.pid() || slices.Contains([]string{"containerd", "containerd-shim", "pause"}, info.Comm) {
				continue
			}
			left = append(left, fmt.Sprintf("process %d (%s, state %c): %q", pid, info.Comm, info.State, title(pid)))
		}
	}
	return left, nil
}

// mounts are the mount points below the rig's folder, the oldest first.
func (r *rig) mounts() ([]string, error) {
	return slices.DeleteFunc(mountPoints(os.Getpid()), func(point string) bool { return !strings.HasPrefix(point, r.dir+"/") }), nil
}

func mountPoints(pid int) (points []string) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		return []string{err.Error()}
	}
	for line := range strings.Lines(string(b)) {
		// Field 5 is the mount point, see proc_pid_mountinfo(5); our paths need no unescaping.
		if fields := strings.Fields(line); len(fields) > 4 {
			points = append(points, fields[4])
		}
	}
	return points
}

func (r *rig) unmount() {
	left, _ := r.mounts()
	for _, point := range slices.Backward(left) {
		_ = unix.Unmount(point, unix.MNT_DETACH)
	}
}

func (r *rig) mountsOf(t *target) []string {
	_, pid := t.now()
	return slices.Sorted(slices.Values(mountPoints(pid)))
}

// leftMounts are those of containers that now have others than their first had.
func (r *rig) leftMounts() (left []string, err error) {
	for _, t := range r.targets {
		if now := r.mountsOf(t); !slices.Equal(now, t.mounts) {
			left = append(left, fmt.Sprintf("%s has %q, want %q", t.name, now, t.mounts))
		}
	}
	return left, nil
}

// leftCgroups are those of twins, which lie beside their targets'.
func (r *rig) leftCgroups() ([]string, error) {
	var left []string
	for _, t := range r.targets {
		_, pid := t.now()
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
		if err != nil {
			return nil, err
		}
		seen := 0
		for line := range strings.Lines(string(b)) {
			fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
			// A v1 hierarchy is mounted by its controllers' names, v2 at the top or as unified.
			for _, hierarchy := range []string{fields[1], "", "unified"} {
				names, err := os.ReadDir(filepath.Join("/sys/fs/cgroup", hierarchy, path.Dir(fields[2])))
				if err != nil {
					continue
				}
				for _, name := range names {
					if name.IsDir() && strings.HasPrefix(name.Name(), "podreload-") {
						left = append(left, hierarchy+path.Dir(fields[2])+"/"+name.Name())
					}
					if name.Name() == path.Base(fields[2]) {
						seen++
					}
				}
			}
		}
		if seen == 0 {
			return nil, fmt.Errorf("no cgroup of %s is to be seen: %s", t, b)
		}
	}
	return left, nil
}

// leftState is what the state directory has of others than the containers of now.
func (r *rig) leftState() ([]string, error) {
	var left []string
	ids := map[string]bool{}
	for _, t := range r.targets {
		c, _ := t.now()
		ids[c.ID] = true
	}
	for _, sub := range []string{"targets", "locks", "files", "contents", "twins"} {
		entries, err := os.ReadDir(r.path("run/" + sub))
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			known := ids[strings.TrimSuffix(e.Name(), ".json")]
			if sub == "contents" {
				info, err := e.Info()
				known = err == nil && info.Sys().(*syscall.Stat_t).Nlink > 1 // some target refers to it
			}
			if !known || sub == "twins" {
				left = append(left, filepath.Join(sub, e.Name()))
			}
		}
	}
	staged, err := filepath.Glob(r.path("run/files/*/.*"))
	return append(left, staged...), err
}

// leftFiles are the hidden files that shims make for the moment of a commit.
func (r *rig) leftFiles() ([]string, error) {
	var left []string
	for _, t := range r.targets {
		_, pid := t.now()
		root := fmt.Sprintf("/proc/%d/root/", pid)
		err := filepath.WalkDir(root, func(name string, d os.DirEntry, err error) error {
			if errors.Is(err, os.ErrNotExist) {
				return nil // gone meanwhile
			}
			if err != nil {
				return err
			}
			if d.IsDir() && (name == root+"proc" || name == root+"sys") {
				return filepath.SkipDir
			}
			if strings.Contains(d.Name(), "podreload") {
				left = append(left, t.name+": "+strings.TrimPrefix(name, root))
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return left, nil
}

package kubernetes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/testenv"
)

const dirPattern = "podreload-kube-*"

// What the kubelet uses on the machine whatever it is told.
const (
	kubeletDir = "/var/lib/kubelet"
	logLinks   = "/var/log/containers"
	mark       = kubeletDir + "/podreload-testenv" // in a kubeletDir that is ours
)

// claimMachine takes kubeletDir, which one cluster at a time can have and no machine with a
// kubelet of its own, and clears away what clusters before have left.
func claimMachine() (*os.File, error) {
	if _, err := os.Stat(mark); errors.Is(err, fs.ErrNotExist) {
		entries, err := os.ReadDir(kubeletDir)
		if err == nil && len(entries) > 0 {
			return nil, fmt.Errorf("%s is in use: this machine has a kubelet of its own; test on another", kubeletDir)
		}
		if err := os.MkdirAll(kubeletDir, 0o700); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(mark, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: another test has a cluster on this machine: %w", mark, err)
	}
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), dirPattern))
	if err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		if err := errors.Join(testenv.Sweep(filepath.Join(dir, "node")), removeDir(dir)); err != nil {
			f.Close()
			return nil, fmt.Errorf("clear %s away: %w", dir, err)
		}
	}
	return f, nil
}

// releaseMachine gives kubeletDir back, without anything in it.
func releaseMachine(lock *os.File) error {
	return errors.Join(os.RemoveAll(kubeletDir), lock.Close())
}

// removeDir removes a cluster's folder, what is mounted in it, and the links to its pods' logs.
func removeDir(dir string) error {
	if dir == "" {
		return nil
	}
	if err := testenv.UnmountBelow(dir); err != nil {
		return err
	}
	if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", dir, err)
	}
	return errors.Join(removeLinks(dir), os.RemoveAll(dir))
}

// removeLinks removes the links in logLinks that lead below dir, and the folder when it is empty.
func removeLinks(dir string) error {
	entries, err := os.ReadDir(logLinks)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		link := filepath.Join(logLinks, e.Name())
		if to, _ := os.Readlink(link); strings.HasPrefix(to, dir+"/") {
			err = errors.Join(err, os.Remove(link))
		}
	}
	if e := os.Remove(logLinks); e != nil && !errors.Is(e, unix.ENOTEMPTY) {
		err = errors.Join(err, e)
	}
	return err
}

// sysctl is a setting of the kernel and its value.
type sysctl struct{ path, value string }

// sysctls reads those that the kubelet sets for itself; they are not the network namespace's.
func sysctls() []sysctl {
	var all []sysctl
	for _, name := range []string{"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes"} {
		path := "/proc/sys/" + name
		if b, err := os.ReadFile(path); err == nil {
			all = append(all, sysctl{path, strings.TrimSpace(string(b))})
		}
	}
	return all
}

// restore sets them as they were. What cannot be set back could not be set either.
func restore(all []sysctl) {
	for _, s := range all {
		if b, err := os.ReadFile(s.path); err == nil && strings.TrimSpace(string(b)) != s.value {
			_ = os.WriteFile(s.path, []byte(s.value), 0)
		}
	}
}

// makeCgroups makes the parent of the pods' cgroups in every hierarchy: the kubelet wants it to
// be there. The node takes it away with all that is in it.
func (c *Cluster) makeCgroups() error {
	const root = "/sys/fs/cgroup"
	roots := []string{root}
	if _, err := os.Stat(root + "/cgroup.controllers"); err != nil { // v1: a folder for each hierarchy
		if roots, err = filepath.Glob(root + "/*"); err != nil {
			return err
		}
	}
	for _, r := range roots {
		if s, err := os.Lstat(r); err != nil || !s.IsDir() {
			continue
		}
		dir := filepath.Join(r, c.node.Cgroup())
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		// A new cpuset of v1 has no processors until it is told.
		for _, f := range []string{"cpuset.cpus", "cpuset.mems"} {
			if b, err := os.ReadFile(filepath.Join(r, f)); err == nil {
				if err := os.WriteFile(filepath.Join(dir, f), b, 0o644); err != nil {
					return fmt.Errorf("cgroup %s: %w", dir, err)
				}
			}
		}
	}
	return nil
}

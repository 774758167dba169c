package testenv

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// nodeCgroup is the parent of all cgroups of the node in dir.
func nodeCgroup(dir string) string {
	h := sha256.Sum256([]byte(dir))
	return fmt.Sprintf("/podreload-%x", h[:6])
}

// podCgroup is named as the kubelet's cgroupfs driver does for a besteffort pod.
func podCgroup(dir, uid string) string {
	return nodeCgroup(dir) + "/kubepods/besteffort/pod" + uid
}

// removeCgroups removes a cgroup and those below it in every hierarchy, v1 or v2.
func removeCgroups(cgroup string) error {
	roots, err := filepath.Glob("/sys/fs/cgroup/*" + cgroup)
	if err != nil {
		return err
	}
	var errs []error
	for _, root := range append(roots, "/sys/fs/cgroup"+cgroup) {
		var dirs []string
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		})
		errs = append(errs, err)
		for _, d := range slices.Backward(dirs) {
			errs = append(errs, removeCgroup(d))
		}
	}
	return errors.Join(errs...)
}

// removeCgroup removes one cgroup; the kernel says EBUSY until its last zombie is collected.
func removeCgroup(dir string) error {
	deadline := time.Now().Add(5 * time.Second)
	for {
		err := unix.Rmdir(dir)
		if err == nil || errors.Is(err, unix.ENOENT) {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			return fmt.Errorf("remove cgroup %s: %w", dir, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

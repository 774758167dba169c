package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Sweep takes away what processes that were killed have left: twins with their
// processes, cgroups, mounts and folders. Those of processes that live, which hold
// a lock each, are let be. Run it at start.
func (c *Checker) Sweep(ctx context.Context) error {
	var errs []error
	err := c.node.do(func() error {
		entries, err := os.ReadDir(c.base)
		if err != nil {
			return err
		}
		for _, e := range entries {
			dir := filepath.Join(c.base, e.Name())
			if !e.IsDir() || dir == c.dir {
				continue
			}
			lock, err := lockDir(dir)
			if err != nil {
				continue // somebody's, or gone
			}
			errs = append(errs, c.sweep(ctx, dir), lock.Close())
		}
		return nil
	})
	_, collected := collect()
	if err := errors.Join(append(errs, err, collected)...); err != nil {
		return fmt.Errorf("sweep %s: %w", c.base, err)
	}
	return nil
}

// sweep takes away one dead process's folder. What is mounted for a twin goes last: it holds
// what is known of the rest. One that cannot be ended keeps nothing of the others.
func (c *Checker) sweep(ctx context.Context, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		errs = append(errs, c.sweepTwin(ctx, filepath.Join(dir, e.Name())))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return removeEmpty(dir)
}

func (c *Checker) sweepTwin(ctx context.Context, twin string) error {
	if err := c.end(ctx, twin); err != nil {
		return err
	}
	points, err := mountPoints()
	if err != nil {
		return err
	}
	for _, p := range slices.Backward(points) { // the newest first
		if p.path == twin || below(p.path, twin) {
			if err := unix.Unmount(p.path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
				return fmt.Errorf("unmount %s: %w", p.path, err)
			}
		}
	}
	return nil
}

// removeEmpty removes a folder of folders. A file in it would mean that something is mounted
// still, and is not touched.
func removeEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := unix.Rmdir(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("remove %s: %w", filepath.Join(dir, e.Name()), err)
		}
	}
	return os.Remove(dir)
}

// end kills what runs of a twin and removes its cgroup. Its spec is its own writing, so
// nothing but the cgroup is believed of it, and only one that is named as a twin's is.
func (c *Checker) end(ctx context.Context, dir string) error {
	b, err := readFile(filepath.Join(dir, "config.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it got no further
	}
	if err != nil {
		return err
	}
	var spec struct {
		Linux specs.Linux `json:"linux"`
	}
	if json.Unmarshal(b, &spec) != nil {
		return nil // cut off while it was written: nothing was made of it
	}
	id := filepath.Base(dir)
	if !strings.HasPrefix(id, "podreload-") || !strings.HasSuffix(spec.Linux.CgroupsPath, id) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, clearTimeout)
	defer cancel()
	return findCgroup(spec.Linux.CgroupsPath).remove(ctx)
}

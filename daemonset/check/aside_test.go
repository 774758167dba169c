package check

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/testenv"
)

func TestSurroundings(t *testing.T) {
	var points []mountPoint
	for _, path := range []string{
		"/", "/proc", "/sys", "/sys/fs/cgroup", "/dev", "/run", "/run/lock", "/var", "/usr",
		"/var/lib/kubelet/pods/a/volumes/data", "/var/lib/kubelet/pods/a/volumes/data/in", "/var/lib/kubelet/pods/b/volumes/data",
		"/run/containerd/a/rootfs", "/run/containerd/b/rootfs", "/run/podreload/twins/x/t", "/run-x",
	} {
		points = append(points, mountPoint{path: path})
	}
	single, whole := surroundings(points, []string{"/run/podreload/twins/x/t", "/var/lib/kubelet/pods/a/volumes/data", "/var/lib/kubelet/pods/a/etc-hosts"})
	if diff := cmp.Diff([]string{"/run", "/usr", "/var"}, single); diff != "" {
		t.Errorf("single (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"/dev", "/proc", "/run/podreload/twins/x/t", "/sys", "/var/lib/kubelet/pods/a/volumes/data"}, whole); diff != "" {
		t.Errorf("whole (-want +got):\n%s", diff)
	}
}

// TestAside: what runs aside has what it needs at its place and nothing of other pods, and changes none of
// the node's mounts.
func TestAside(t *testing.T) {
	testenv.NeedsRoot(t)
	mine, others := t.TempDir(), t.TempDir()
	for _, dir := range []string{mine, others} {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	}
	if err := os.WriteFile(filepath.Join(mine, "file"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	points, err := mountPoints()
	if err != nil {
		t.Fatal(err)
	}
	room := t.TempDir()
	single, whole := surroundings(points, []string{mine})
	var aside []mountPoint
	err = node{}.aside(room, single, whole, func() (err error) {
		if aside, err = mountPoints(); err != nil {
			return err
		}
		for _, file := range []string{"/etc/passwd", "/proc/self/stat", "/sys/fs/cgroup", filepath.Join(mine, "file")} {
			if _, missing := os.Stat(file); missing != nil {
				t.Error(missing)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]bool{"/": true, "/proc": true, mine: true, others: false, room: false} {
		if got := slices.ContainsFunc(aside, func(p mountPoint) bool { return p.path == dir }); got != want {
			t.Errorf("%s is mounted aside: %v, want %v", dir, got, want)
		}
	}
	points, err = mountPoints()
	if err != nil || slices.ContainsFunc(points, func(p mountPoint) bool { return p.path == room || below(p.path, room) }) {
		t.Errorf("the node has mounts of it: %v, %v", points, err)
	}
}

// TestRuntimeElsewhere: a runtime may lie on a filesystem of its own, behind a link, and be a script, which
// is run from where it is.
func TestRuntimeElsewhere(t *testing.T) {
	testenv.NeedsRoot(t)
	dir, opt := t.TempDir(), t.TempDir()
	if err := unix.Mount("tmpfs", opt, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(opt, unix.MNT_DETACH) })
	program, link := filepath.Join(opt, "program"), filepath.Join(dir, "runtime")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nexit 0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program, link); err != nil {
		t.Fatal(err)
	}
	c, err := Open(t.TempDir(), nil, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	points, err := mountPoints()
	if err != nil {
		t.Fatal(err)
	}
	for _, binary := range []string{link, program, "/bin/true"} {
		needed, err := places(func(path string) (source, error) { return lookAt(path, 0) }, binary, nil)
		if err != nil {
			t.Fatal(err)
		}
		single, whole := surroundings(points, needed)
		err = c.run(t.Context(), binary, call{output: os.Stderr, where: func(f func() error) error {
			return c.node.aside(t.TempDir(), single, whole, f)
		}})
		if err != nil {
			t.Errorf("%s: %v", binary, err)
		}
	}
}

// TestAsideCannotBe: what stands in its way is told by errAside, so that the runtime works without.
func TestAsideCannotBe(t *testing.T) {
	testenv.NeedsRoot(t)
	err := node{}.aside(filepath.Join(t.TempDir(), "none"), nil, nil, func() error {
		t.Error("it runs somewhere else")
		return nil
	})
	if !errors.Is(err, errAside) {
		t.Errorf("%v, want %v", err, errAside)
	}
}

package check

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// An OCI runtime reads the table of mounts several times, and each container that it makes begins
// with a copy of it. On a node with 100 pods that was a quarter of what a check cost the processor, and
// more with 250. So a twin is made in a mount namespace that has what the runtime needs of
// the node, at the paths where the node has it, and nothing of other pods.

// kept are what a runtime and its libraries use of the node. /proc, /sys and /dev come with all that is
// mounted in them; of the others the filesystem that they are on.
var (
	keptWhole = []string{"/proc", "/sys", "/dev"}
	kept      = []string{"/usr/lib", "/lib", "/lib64", "/etc", "/run/systemd", "/run/dbus"}
)

// surroundings are the mounts that a runtime needs for those paths, which are without links, the outer ones
// first: single are those that hold a path, whole the paths that have mounts in them.
func surroundings(points []mountPoint, paths []string) (single, whole []string) {
	for _, p := range points {
		holds := func(path string) bool { return p.path != "/" && below(path, p.path) }
		if slices.Contains(kept, p.path) || slices.ContainsFunc(slices.Concat(kept, paths), holds) {
			single = append(single, p.path)
		}
	}
	for _, path := range slices.Concat(keptWhole, paths) {
		if slices.ContainsFunc(points, func(p mountPoint) bool { return p.path == path || below(p.path, path) }) {
			whole = append(whole, path)
		}
	}
	for _, list := range []*[]string{&single, &whole} {
		slices.Sort(*list) // an outer path is a prefix of an inner one
		*list = slices.Compact(*list)
	}
	return single, whole
}

// places are the paths on the node that a runtime looks at: its own, and the sources of the mounts. As they
// are named they tell what is needed to follow their links, as the kernel knows them what these lead to.
func places(look func(string) (source, error), binary string, mounts []specs.Mount) (paths []string, err error) {
	named := []string{binary}
	for _, m := range mounts {
		if bound(m) { // else its source is no path
			named = append(named, m.Source)
		}
	}
	for _, path := range named {
		from, err := look(path)
		if outOfTime(err) {
			return nil, err
		}
		if err == nil { // else the runtime says what is wrong with it
			paths = append(paths, path, from.real)
		}
	}
	return paths, nil
}

// aside runs f, and what it starts, with those mounts of the node's and no other. Room is an empty
// directory of this process's own. f must stay in its goroutine.
func (n node) aside(room string, single, whole []string, f func() error) error {
	return n.apart(func() error {
		if err := n.enter(); err != nil {
			return err
		}
		if err := furnish(room, single, whole); err != nil {
			return fmt.Errorf("%w: %w", errAside, err)
		}
		return f()
	})
}

// furnish gives this thread a mount namespace of its own, with those mounts.
func furnish(room string, single, whole []string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("let go of the node's mounts: %w", err)
	}
	type bind struct {
		path  string
		flags uintptr
	}
	binds := []bind{{"/", unix.MS_BIND}}
	for _, path := range single {
		binds = append(binds, bind{path, unix.MS_BIND})
	}
	for _, path := range whole {
		binds = append(binds, bind{path, unix.MS_BIND | unix.MS_REC})
	}
	for _, b := range binds {
		if err := unix.Mount(b.path, filepath.Join(room, b.path), "", b.flags, ""); err != nil {
			return fmt.Errorf("bind %s: %w", b.path, err)
		}
	}
	if err := unix.Chdir(room); err != nil {
		return err
	}
	// The old root is put upon the new one, and taken away with all that is in it.
	if err := unix.PivotRoot(".", "."); err != nil { // as where the node's root is the kernel's initial one
		return fmt.Errorf("pivot_root: %w", err)
	}
	return errors.Join(unix.Unmount(".", unix.MNT_DETACH), unix.Chdir("/"))
}

// errAside: there is no mount namespace with what the OCI runtime needs. It works in the node's own too.
var errAside = errors.New("no mount namespace for the OCI runtime")

package check

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// shift mounts a layer's lower directory once more, with its ids mapped as the target's
// user namespace maps them: mount_setattr(2), Linux 5.12, and 5.19 for what is below
// an overlay. A target whose volume is mounted so has shown that its filesystem can.
func (t *twin) shift(l *layer, pid int) error {
	users, err := os.Open("/proc/" + strconv.Itoa(pid) + "/ns/user")
	if err != nil {
		return fmt.Errorf("open the container's user namespace: %w", err)
	}
	defer users.Close()
	tree, err := unix.OpenTree(unix.AT_FDCWD, l.lower, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("mount %s again: %w", l.lower, err)
	}
	defer unix.Close(tree)
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(users.Fd()), Propagation: unix.MS_PRIVATE}
	err = unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return fmt.Errorf("%w: map the ids of %s: %w", ErrUnsupported, l.lower, err)
	}
	if err != nil {
		return fmt.Errorf("map the ids of %s: %w", l.lower, err)
	}
	to := l.mapped(t.dir)
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, to, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("mount %s on %s: %w", l.lower, to, err)
	}
	t.mounts = append(t.mounts, to)
	l.like, err = lookAt(to, 0)
	return err
}

// access are the options of a twin's tmpfs that say who may pass: root alone, and in a
// pod with a user namespace that one's root, as which the runtime gets to the twin's
// root directory there.
func access(spec specs.Spec, dir string) (string, error) {
	if !hasUserNamespace(spec) {
		return "mode=700", nil
	}
	for above := filepath.Dir(dir); ; above = filepath.Dir(above) {
		info, err := os.Stat(above)
		if err != nil {
			return "", err
		}
		if info.Mode().Perm()&1 == 0 {
			return "", fmt.Errorf("%w: nobody but its owner may pass %s, as the runtime must in a pod with a user namespace (hostUsers: false); chmod o+x", ErrUnsupported, above)
		}
		if above == "/" {
			break
		}
	}
	for _, m := range spec.Linux.GIDMappings {
		if m.ContainerID == 0 && m.Size > 0 {
			return fmt.Sprintf("mode=710,gid=%d", m.HostID), nil
		}
	}
	return "", fmt.Errorf("%w: the pod's user namespace has no root", ErrUnsupported)
}

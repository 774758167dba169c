package check

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// lookAt says what a path on the node is, and asks no server of a network or FUSE
// filesystem for it: one that is dead would hold this thread for good.
func lookAt(path string) (source, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return source{}, fmt.Errorf("%s on the node: %w", path, err)
	}
	defer unix.Close(fd)
	st, err := cached(fd)
	if err != nil {
		return source{}, fmt.Errorf("%s on the node: %w", path, err)
	}
	real, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return source{}, err
	}
	return source{
		real: real, dir: st.Mode&unix.S_IFMT == unix.S_IFDIR, mode: uint32(st.Mode) & 0o7777, uid: st.Uid, gid: st.Gid,
	}, nil
}

// cached is what the kernel knows of an open file, statx(2) with AT_STATX_DONT_SYNC.
func cached(fd int) (unix.Statx_t, error) {
	var st unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_BASIC_STATS, &st)
	return st, err
}

// sameRoot proves that a bundle's root is the one that the container runs on.
func sameRoot(rootfs string, pid int) error {
	theirs, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/root", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the container's root: %w", err)
	}
	defer unix.Close(theirs)
	ours, err := unix.Open(rootfs, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("%w: open the root in the container's bundle: %w", ErrUnsupported, err)
	}
	defer unix.Close(ours)
	a, errA := cached(theirs)
	b, errB := cached(ours)
	if err := errors.Join(errA, errB); err != nil {
		return fmt.Errorf("look at the container's root: %w", err)
	}
	if a.Dev_major != b.Dev_major || a.Dev_minor != b.Dev_minor || a.Ino != b.Ino {
		return fmt.Errorf("%w: the container does not run on the root in its bundle, %s", ErrUnsupported, rootfs)
	}
	return nil
}

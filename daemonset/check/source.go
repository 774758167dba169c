package check

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// look is [lookAt] for paths that others chose. The way to a folder inside a network or FUSE
// filesystem may ask its server, and one that is dead does not answer: what the kernel does not know
// by itself is looked at on another thread, which is left behind when the context ends. Until it
// comes back nothing more is begun for that container.
func (c *Checker) look(ctx context.Context, container, path string) (source, error) {
	s, err := lookAt(path, resolveCached)
	if err == nil {
		return s, nil
	}
	var answer source
	done := make(chan error, 1)
	c.behind.Go(func() {
		done <- c.node.do(func() (err error) { answer, err = lookAt(path, 0); return err })
	})
	select {
	case err := <-done:
		return answer, err
	case <-ctx.Done():
	}
	over := c.hanging.add(container)
	c.behind.Go(func() {
		<-done
		over()
	})
	if errors.Is(ctx.Err(), context.Canceled) {
		return source{}, ctx.Err()
	}
	return source{}, fmt.Errorf("%w: the node does not come to an end with a look at %s; what filesystem does it wait for?", ErrDeadline, path)
}

// outOfTime tells that a look has not ended from what it has seen.
func outOfTime(err error) bool {
	return errors.Is(err, ErrDeadline) || errors.Is(err, context.Canceled)
}

// resolveCached is RESOLVE_CACHED of linux/openat2.h, since Linux 5.12.
const resolveCached = 0x20

// lookAt says what a path on the node is. Once it is found no server of a filesystem is asked.
func lookAt(path string, resolve uint64) (source, error) {
	fd, err := unix.Openat2(unix.AT_FDCWD, path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: resolve})
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

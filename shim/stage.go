package shim

import (
	"hash/fnv"
	"strconv"

	"golang.org/x/sys/unix"
)

// staged is a file that is complete but not in its place.
type staged struct {
	entry           // where it belongs
	path     string // the same, as the request has it
	index    int    // in the result's files
	replaces bool   // the name is in use
	fd       int
	named    bool // it has its hidden name now
}

// hidden is the name that a file has for the moment before its rename. It is
// always the same for the same file, so that what a killed shim left is found
// and replaced by the next one.
func (s *staged) hidden() string {
	h := fnv.New64a()
	h.Write([]byte(s.name))
	return ".podreload-" + strconv.FormatUint(h.Sum64(), 36)
}

// stage writes the file where no name leads to it. It gets its label, owner and
// mode here, before anyone can see it.
func (w *work) stage(s *staged, data []byte, want attributes, old existing) error {
	fd, err := unix.Openat(s.dir, ".", unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	switch err {
	case nil:
	case unix.EOPNOTSUPP, unix.EISDIR:
		// NFS, overlayfs before Linux 6.1: a hidden name has to do.
		if fd, err = s.create(); err != nil {
			return err
		}
		s.named = true
	default:
		return err
	}
	s.fd = w.keep(fd)
	for len(data) > 0 {
		n, err := unix.Write(fd, data)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		data = data[n:]
	}
	if err := w.copyLabels(old, fd); err != nil {
		return err
	}
	// The mode comes after the owner: chown(2) clears set-id bits.
	if err := unix.Fchown(fd, int(want.uid), int(want.gid)); err != nil {
		return err
	}
	if err := unix.Fchmod(fd, want.mode); err != nil {
		return err
	}
	return w.sync(fd)
}

// create makes the hidden name anew.
func (s *staged) create() (int, error) {
	for try := 0; ; try++ {
		fd, err := unix.Openat(s.dir, s.hidden(), unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
		if err != unix.EEXIST || try == 3 {
			return fd, err
		}
		if err := unix.Unlinkat(s.dir, s.hidden(), 0); err != nil && err != unix.ENOENT {
			return -1, err
		}
	}
}

// commit puts the file in its place, at once and whole.
func (w *work) commit(s *staged) error {
	if !s.named {
		if !s.replaces {
			err := w.link(s, s.name)
			if err != unix.EEXIST {
				return err
			}
			// Someone inside was quicker: replace theirs.
		}
		if err := w.linkHidden(s); err != nil {
			return err
		}
		s.named = true
	}
	if err := unix.Renameat(s.dir, s.hidden(), s.dir, s.name); err != nil {
		return err
	}
	s.named = false
	return nil
}

// linkHidden gives the file its hidden name, also where one was left behind.
func (w *work) linkHidden(s *staged) error {
	for try := 0; ; try++ {
		err := w.link(s, s.hidden())
		if err != unix.EEXIST || try == 3 {
			return err
		}
		if err := unix.Unlinkat(s.dir, s.hidden(), 0); err != nil && err != unix.ENOENT {
			return err
		}
	}
}

// link names a file that has no name. By way of /proc/self/fd it takes no
// CAP_DAC_READ_SEARCH, as AT_EMPTY_PATH does: open(2), O_TMPFILE.
func (w *work) link(s *staged, name string) error {
	return unix.Linkat(w.root.Self, strconv.Itoa(s.fd), s.dir, name, unix.AT_SYMLINK_FOLLOW)
}

// sync makes the contents durable before the rename, but only where they
// outlive the container: in a volume, which is another filesystem than the root
// and not in memory. After a power loss nothing else of the container is left.
func (w *work) sync(fd int) error {
	var root, file unix.Stat_t
	var fs unix.Statfs_t
	if err := unix.Fstat(w.root.Dir, &root); err != nil {
		return err
	}
	if err := unix.Fstat(fd, &file); err != nil {
		return err
	}
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return err
	}
	if root.Dev == file.Dev || fs.Type == unix.TMPFS_MAGIC || fs.Type == unix.RAMFS_MAGIC || fs.Type == unix.OVERLAYFS_SUPER_MAGIC {
		return nil
	}
	return unix.Fsync(fd)
}

package shim

import (
	"hash/fnv"
	"strconv"

	"golang.org/x/sys/unix"
)

// staged is a change that is complete but not in its place.
type staged struct {
	entry           // where it belongs
	path     string // the same, as the request has it
	index    int    // in the result's files
	replaces bool   // the name is in use
	removes  bool   // the name is to go; else fd is the new file
	fd       int
	mode     uint32
	uid, gid int // as the node numbers them

	named bool // the new file has its hidden name
	kept  bool // the old file has one, too
	done  bool // it is in its place
}

// hidden is the name that a new file has for the moment before its rename, and
// old the one that the file it replaces has until all are renamed. They are
// always the same for the same file, so that what a killed shim left is found
// and taken away by the next one.
func (e entry) hidden() string {
	h := fnv.New64a()
	h.Write([]byte(e.name))
	return ".podreload-" + strconv.FormatUint(h.Sum64(), 36)
}

func (e entry) old() string { return e.hidden() + "~" }

// sweep takes away what a killed shim left.
func (e entry) sweep() {
	unix.Unlinkat(e.dir, e.hidden(), 0)
	unix.Unlinkat(e.dir, e.old(), 0)
}

// stage writes the file where no name leads to it. It gets its label, owner and
// mode here, before anyone can see it.
func (w *work) stage(s *staged, data []byte, old existing) error {
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
	if err := w.copyLabels(s, old); err != nil {
		return err
	}
	// The mode comes last: chown(2) clears set-id bits, and it has the last word
	// in an access control list, acl(5).
	if err := unix.Fchown(fd, s.uid, s.gid); err != nil {
		return err
	}
	if err := unix.Fchmod(fd, s.mode); err != nil {
		return err
	}
	return w.sync(fd)
}

// create makes the hidden name anew.
func (s *staged) create() (fd int, err error) {
	err = anew(s.dir, s.hidden(), func() error {
		fd, err = unix.Openat(s.dir, s.hidden(), unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
		return err
	})
	return fd, err
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

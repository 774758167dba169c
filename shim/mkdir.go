package shim

import (
	"strings"

	"golang.org/x/sys/unix"
)

// mkdir makes what is missing of a directory and opens it. As long as the path
// exists it is resolved from the root; from the first directory that has to be
// made on, step by step, where links do not count. For a file that shall be
// absent it makes none, but takes away what a killed shim began.
func (w *work) mkdir(name string, absent bool) (int, error) {
	at, err := w.openDir("/")
	if err != nil {
		return -1, err
	}
	making, path := false, ""
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == "." {
			continue
		}
		path += "/" + part
		next := -1
		if !making {
			next, err = w.openDir(path)
			if err == unix.ENOENT {
				next, err = w.claim(entry{at, part}, path, absent)
			}
			making = err == unix.ENOENT
		}
		if making {
			if next, err = w.mkdirAt(entry{at, part}, absent); absent && err == nil {
				return -1, errMissingParent
			}
		}
		if err != nil {
			return -1, err
		}
		at = next
	}
	return at, nil
}

// claim prepares to make a directory that is not there: path, by its whole name. It is ENOENT if it is
// still not there once the one that it is to be in is locked: the shim of another container may have made it.
func (w *work) claim(e entry, path string, absent bool) (int, error) {
	if err := w.suits(e.dir); err != nil {
		return -1, err
	}
	if err := w.mayMake(e.dir); err != nil {
		if absent {
			err = errMissingParent
		}
		return -1, err
	}
	is, err := identify(e.dir)
	if err != nil {
		return -1, err
	}
	w.lock(e.dir, is)
	fd, err := w.openDir(path)
	if err == unix.ENOENT && !absent {
		if _, failed := unix.Readlinkat(e.dir, e.name, make([]byte, 1)); failed == nil {
			err = refusal(path + " is a link to nothing, and directories are not made through links; remove it, or make what it leads to")
		}
	}
	return fd, err
}

// mkdirAt makes one directory and gives it the request's owner and its
// directory's label; like a file it has a hidden name until then. It may be
// swapped before it is opened, by someone who can write to the parent: what is
// opened must be empty and ours, as made, or else is not touched.
func (w *work) mkdirAt(e entry, absent bool) (int, error) {
	if e.name == ".." {
		return -1, refusal("directories are only made for a path without ..")
	}
	hidden := entry{e.dir, e.hidden()}
	unix.Unlinkat(hidden.dir, hidden.name, unix.AT_REMOVEDIR) // of a killed shim
	if absent {
		return -1, nil
	}
	if err := unix.Mkdirat(hidden.dir, hidden.name, 0o755); err != nil {
		return -1, err
	}
	fd, err := w.openMade(hidden)
	if err == nil {
		err = unix.Renameat2(hidden.dir, hidden.name, e.dir, e.name, unix.RENAME_NOREPLACE)
		if err == unix.EINVAL { // NFS and other filesystems that cannot promise that
			err = unix.Renameat(hidden.dir, hidden.name, e.dir, e.name)
		}
	}
	if err != nil {
		unix.Unlinkat(hidden.dir, hidden.name, unix.AT_REMOVEDIR)
		return -1, err
	}
	w.made = append(w.made, e)
	return fd, nil
}

// openMade opens a directory that was just made and gives it what it should have.
func (w *work) openMade(e entry) (int, error) {
	fd, err := openat2(e.dir, e.name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW,
		unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS|unix.RESOLVE_NO_XDEV)
	if err != nil {
		return -1, err
	}
	w.keep(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return -1, err
	}
	w.lock(fd, inode{uint64(st.Dev), st.Ino}) // before anyone else finds it
	if st.Uid != w.fsuid || !empty(fd) {
		return -1, refusal("a directory was changed while it was made; try again")
	}
	if err := w.inheritLabel(e.dir, fd); err != nil {
		return -1, err
	}
	uid, gid, err := w.owner(Attributes{UID: w.req.UID, GID: w.req.GID})
	if err != nil {
		return -1, err
	}
	return fd, unix.Fchown(fd, uid, gid)
}

// empty says whether a directory that is open for reading has no entries.
func empty(fd int) bool {
	buf := make([]byte, 4096)
	for {
		n, err := unix.ReadDirent(fd, buf)
		if err != nil || n == 0 {
			return err == nil
		}
		if _, names, _ := unix.ParseDirent(buf[:n], -1, nil); names > 0 { // without . and ..
			return false
		}
	}
}

package shim

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// errMissingParent: there is no such directory, and for this request that is
// no failure.
var errMissingParent = errors.New("no such directory")

// How names are resolved: as a process of the container would, whatever links
// there are, and never out of the root. Magic links (those in /proc) lead
// anywhere, so they are refused: openat2(2).
const resolve = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS

// parent opens the directory that the file is or will be in.
func (w *work) parent(f File) (entry, error) {
	slash := strings.LastIndexByte(f.Path, '/')
	name := f.Path[:slash+1]
	base := f.Path[slash+1:]
	switch {
	case len(f.Path) > MaxPath, strings.IndexByte(f.Path, 0) >= 0, !strings.HasPrefix(f.Path, "/"):
		return entry{}, refusal("it is not an absolute path of at most 4096 bytes")
	case base == "" || base == "." || base == "..":
		return entry{}, refusal("it names a directory; name a file in it")
	}
	const twice = refusal("the same file is wanted twice in one request")
	path := entry{-1, f.Path} // where there is no directory yet
	if w.wanted[path] {
		return entry{}, twice
	}
	w.wanted[path] = true
	dir, err := w.dir(name, f)
	if err != nil {
		return entry{}, err
	}
	at := entry{dir, base}
	if w.wanted[at] {
		return entry{}, twice
	}
	w.wanted[at] = true
	return at, nil
}

// dir opens a directory, once for all names that lead to it.
func (w *work) dir(name string, f File) (int, error) {
	if fd, ok := w.dirs[name]; ok {
		return fd, nil
	}
	dir, err := w.openDir(name)
	if err == unix.ENOENT {
		switch {
		case w.req.Op == Read, f.Absent, w.req.Op == Compare && f.Mkdir:
			return -1, errMissingParent
		case f.Mkdir:
			dir, err = w.mkdir(name)
		}
	}
	if err == nil {
		err = w.suits(dir)
	}
	if err != nil {
		return -1, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(dir, &st); err != nil {
		return -1, err
	}
	is := inode{uint64(st.Dev), st.Ino}
	if fd, ok := w.inodes[is]; ok {
		dir = fd // another name of it
	}
	w.dirs[name], w.inodes[is] = dir, dir
	return dir, nil
}

// mkdir makes what is missing of a directory and opens it. As long as the path
// exists it is resolved from the root; from the first directory that has to be
// made on, step by step, where links do not count.
func (w *work) mkdir(name string) (int, error) {
	at, err := w.openDir("/")
	making, path := false, ""
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == "." {
			continue
		}
		path += "/" + part
		next := -1
		if err == nil && !making {
			next, err = w.openDir(path)
			if err == unix.ENOENT {
				making, err = true, w.suits(at)
			}
		}
		if err == nil && making {
			next, err = w.mkdirAt(entry{at, part})
		}
		at = next
	}
	return at, err
}

// openDir opens a directory as the container sees it.
func (w *work) openDir(name string) (int, error) {
	fd, err := openat2(w.root.Dir, name, unix.O_PATH|unix.O_DIRECTORY, resolve)
	if err != nil {
		return -1, err
	}
	return w.keep(fd), nil
}

// mkdirAt makes one directory and gives it the request's owner. It may have been
// swapped before it is opened, by someone who can write to the parent: what is
// opened must be empty and root's, as made, or else is not touched.
func (w *work) mkdirAt(e entry) (int, error) {
	if e.name == ".." {
		return -1, refusal("directories are only made for a path without ..")
	}
	if err := unix.Mkdirat(e.dir, e.name, 0o755); err != nil {
		return -1, err
	}
	w.made = append(w.made, e)
	fd, err := openat2(e.dir, e.name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW,
		unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS|unix.RESOLVE_NO_XDEV)
	if err != nil {
		return -1, err
	}
	w.keep(fd)
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	if err == nil && (st.Uid != w.fsuid || !empty(fd)) {
		err = refusal("the directory " + e.name + " was changed while it was made; try again")
	}
	if err == nil {
		err = w.inheritLabel(e.dir, fd)
	}
	if err == nil {
		var uid, gid int
		if uid, gid, err = w.owner(Attributes{UID: w.req.UID, GID: w.req.GID}); err == nil {
			err = unix.Fchown(fd, uid, gid)
		}
	}
	return fd, err
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

// suits refuses the kernel's own filesystems, where a file is a switch and not
// a configuration. The call can hang on a dead filesystem, as every other here
// can; see Run.
func (w *work) suits(dir int) error {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(dir, &fs); err != nil {
		return err
	}
	switch uint32(fs.Type) {
	case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC,
		unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC, unix.SECURITYFS_MAGIC, unix.SELINUX_MAGIC, unix.BPF_FS_MAGIC,
		unix.DEVPTS_SUPER_MAGIC, unix.EFIVARFS_MAGIC, unix.PSTOREFS_MAGIC, unix.BINFMTFS_MAGIC, configfs:
		return refusal("it is in a filesystem of the kernel (proc, sysfs or such), which holds no configuration files")
	}
	return nil
}

const configfs = 0x62656570 // fs/configfs/mount.c

// openat2 resolves a name below a directory. EAGAIN means that something was
// renamed meanwhile and the kernel could not be sure: openat2(2).
func openat2(dir int, name string, flags, resolve uint64) (int, error) {
	how := unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: resolve}
	for try := 0; ; try++ {
		fd, err := unix.Openat2(dir, name, &how)
		if (err != unix.EAGAIN && err != unix.EINTR) || try == 128 {
			return fd, err
		}
	}
}

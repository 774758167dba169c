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
		case w.req.Op == Apply && (f.Mkdir || f.Absent):
			dir, err = w.mkdir(name, f.Absent)
		case w.req.Op == Read, f.Absent, f.Mkdir:
			return -1, errMissingParent
		}
	}
	if err == nil {
		err = w.suits(dir)
	}
	if err == nil {
		err = w.mayMake(dir)
	}
	if err != nil {
		return -1, err
	}
	is, err := identify(dir)
	if err != nil {
		return -1, err
	}
	if fd, ok := w.inodes[is]; ok {
		dir = fd // another name of it
	} else if w.req.Op == Apply {
		w.lock(dir, is)
	}
	w.dirs[name], w.inodes[is] = dir, dir
	return dir, nil
}

// openDir opens a directory as the container sees it, where mostly no link is in the way.
func (w *work) openDir(name string) (int, error) {
	fd, err := openat2(w.root.Dir, name, unix.O_PATH|unix.O_DIRECTORY, resolve|unix.RESOLVE_NO_SYMLINKS)
	switch err {
	case nil:
		return w.keep(fd), nil
	case unix.ELOOP:
		return w.linkedDir(name)
	}
	return -1, err
}

// linkedDir opens a directory that links lead to.
func (w *work) linkedDir(name string) (int, error) {
	dir, links, err := w.walk(name)
	if err != nil {
		return -1, err
	}
	st, err := statx(dir)
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		err = unix.ENOTDIR
	}
	if err == nil {
		w.links[dir] = links
	}
	return dir, err
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

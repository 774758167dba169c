package shim

import (
	"bytes"
	"strconv"

	"golang.org/x/sys/unix"
)

// existing is the file that is there before. A link counts as what it leads to,
// as in confd, but it is the link that is replaced, never what it leads to.
type existing struct {
	taken bool // the name is in use
	fd    int  // O_PATH handle; -1 when there is no file: nothing there, or a link to nothing
	Attributes
	size uint64
}

// look says what is at the name, and refuses what is not to be replaced by a
// regular file. It opens with O_PATH alone, which has no effect on a device and
// does not wait for a FIFO.
func (w *work) look(at entry, path string) (existing, error) {
	none := existing{fd: -1}
	fd, err := openat2(at.dir, at.name, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err == unix.ENOENT {
		return none, nil
	}
	if err != nil {
		return none, err
	}
	w.keep(fd)
	st, err := statx(fd)
	if err != nil {
		return none, err
	}
	if st.Attributes&st.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0 {
		return none, refusal("it is a mount point (a subPath, or a file that is mounted by itself), which cannot be replaced at once; mount the directory that it is in instead")
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		none.taken = true
		var links []linkOwner
		fd, links, err = w.walk(path)
		if err == unix.ENOENT {
			return none, nil
		}
		if err != nil {
			return none, err
		}
		if err := w.suits(fd); err != nil { // the kernel's files tell this process more than one inside
			return none, err
		}
		if st, err = statx(fd); err == nil {
			err = w.mayRead(links, st)
		}
		if err != nil {
			return none, err
		}
	}
	if kind := st.Mode & unix.S_IFMT; kind != unix.S_IFREG {
		return none, refusal("there is " + kinds[kind] + ", not a regular file; remove it, or choose another dest")
	}
	attributes, err := w.numbered(uint32(st.Mode), st.Uid, st.Gid)
	return existing{taken: true, fd: fd, size: st.Size, Attributes: attributes}, err
}

// kinds name the file types that are refused: inode(7).
var kinds = map[uint16]string{
	unix.S_IFDIR:  "a directory",
	unix.S_IFIFO:  "a FIFO",
	unix.S_IFSOCK: "a socket",
	unix.S_IFCHR:  "a character device",
	unix.S_IFBLK:  "a block device",
	unix.S_IFLNK:  "a link",
}

// setID are the mode bits that are never inherited: who set them meant another
// file.
const setID = unix.S_ISUID | unix.S_ISGID

// attributes are those that the file shall have.
func (w *work) attributes(f File, old existing) Attributes {
	want := Attributes{Mode: 0o644, UID: w.req.UID, GID: w.req.GID}
	if old.fd >= 0 {
		want = old.Attributes
		want.Mode &^= setID
	}
	if f.Mode != nil {
		want.Mode = *f.Mode & 0o7777
	}
	if f.UID != nil {
		want.UID = *f.UID
	}
	if f.GID != nil {
		want.GID = *f.GID
	}
	return want
}

// same says whether the old file is as wanted. It never holds more of it in
// memory than one buffer, however large the container made it.
func (w *work) same(old existing, f File, want Attributes) (bool, error) {
	if f.Absent {
		return !old.taken, nil
	}
	if f.Mode == nil {
		want.Mode |= old.Mode & setID // no reason to touch it
	}
	data := f.Data
	if old.fd < 0 || old.Attributes != want || old.size != uint64(len(data)) {
		return false, nil
	}
	fd, err := w.reopen(old.fd)
	if err == unix.EAGAIN {
		return false, nil // a process inside holds a lease on it: fcntl(2)
	}
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	buf := make([]byte, min(64<<10, len(data)+1))
	for {
		n, err := readFull(fd, buf)
		if err != nil {
			return false, err
		}
		if n == 0 {
			return len(data) == 0, nil
		}
		rest, ok := bytes.CutPrefix(data, buf[:n])
		if !ok {
			return false, nil
		}
		data = rest
	}
}

// read returns the contents.
func (w *work) read(old existing) ([]byte, error) {
	var total uint64
	for _, f := range w.result.Files {
		total += uint64(len(f.Data))
	}
	if total+old.size > MaxSize/2 {
		return nil, refusal("it is too large to be read")
	}
	fd, err := w.reopen(old.fd)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	buf := make([]byte, old.size) // what it has grown by since does not count
	n, err := readFull(fd, buf)
	return buf[:n], err
}

// reopen opens for reading what an O_PATH handle is of: that inode, whatever
// the name leads to by now. O_NONBLOCK: for a lease, open(2).
func (w *work) reopen(fd int) (int, error) {
	return openat2(w.root.Self, strconv.Itoa(fd), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
}

// readFull fills the buffer unless the file ends before.
func readFull(fd int, buf []byte) (int, error) {
	n := 0
	for n < len(buf) {
		m, err := unix.Read(fd, buf[n:])
		if err == unix.EINTR {
			continue
		}
		if err != nil || m == 0 {
			return n, err
		}
		n += m
	}
	return n, nil
}

func statx(fd int) (unix.Statx_t, error) {
	var st unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BASIC_STATS, &st)
	return st, err
}

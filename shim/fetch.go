package shim

import (
	"golang.org/x/sys/unix"
)

// exists says whether a path leads to anything, as stat(2) inside would: links are
// followed, and every error but ENOENT counts as yes, as in confd's fileExists. It opens
// with O_PATH, which has no effect on a device and does not wait for a FIFO. A relative
// path starts at the root.
//
// /proc/self is one's own there, and this process has none there: what lies behind it does not
// exist. What lies behind another process's magic links counts as there.
func (w *work) exists(f File) (FileResult, *Error) {
	res := FileResult{Path: f.Path}
	fd, err := openat2(w.root.Dir, f.Path, unix.O_PATH, resolve)
	switch err {
	case nil:
		unix.Close(fd)
	case unix.ENOENT:
		return res, nil
	case unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EAGAIN, unix.EINTR: // say nothing about the path
		return res, failure(StepLook, f.Path, err)
	}
	res.Existed = true
	return res, nil
}

// fetch returns the contents of what is only looked up in: a container's /etc/hosts,
// which is mounted by itself. Nothing there is no error.
func (w *work) fetch(f File) (FileResult, *Error) {
	res := FileResult{Path: f.Path}
	fd, err := openat2(w.root.Dir, f.Path, unix.O_PATH, resolve)
	if err == unix.ENOENT {
		return res, nil
	}
	if err == nil {
		w.keep(fd)
		res.Existed = true
		res.Data, err = w.contents(fd)
	}
	if err != nil {
		return res, failure(StepLook, f.Path, err)
	}
	return res, nil
}

// contents reads a regular file, of which the caller wants no more than its limit.
func (w *work) contents(fd int) ([]byte, error) {
	st, err := statx(fd)
	if err != nil {
		return nil, err
	}
	if kind := st.Mode & unix.S_IFMT; kind != unix.S_IFREG {
		return nil, refusal("there is " + kinds[kind] + ", not a regular file")
	}
	if err := w.suits(fd); err != nil {
		return nil, err
	}
	if st.Size > uint64(w.req.Limit) {
		return nil, refusal("it is too large to be looked up in")
	}
	return w.read(existing{fd: fd, size: st.Size})
}

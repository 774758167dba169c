package shim

import (
	"bytes"
	"strings"

	"golang.org/x/sys/unix"
)

// Caps on the extended attributes that are carried over: the container may have
// set as many as its filesystem lets it.
const (
	maxLabels     = 64
	maxLabelBytes = 64 << 10
)

// The extended attributes that mean something to the kernel: the SELinux label,
// and an access control list, of which a file's mode is only a summary. File
// capabilities are not handed on, as set-id bits are not; nor are sums over the
// contents (IMA).
const (
	selinux = "security.selinux"
	acl     = "system.posix_acl_access"
)

// copyLabels gives the new file the labels and the user attributes of the old
// one (xattr(7)), or else its directory's label: the kernel would take the
// shim's level (categories) instead.
func (w *work) copyLabels(s *staged, old existing) error {
	if old.fd < 0 {
		return w.inheritLabel(s.dir, s.fd)
	}
	from, err := w.reopen(old.fd)
	if err == unix.EAGAIN {
		return w.inheritLabel(s.dir, s.fd) // a lease, see same
	}
	if err != nil {
		return err
	}
	defer unix.Close(from)
	names := make([]byte, maxLabelBytes) // XATTR_LIST_MAX
	n, err := unix.Flistxattr(from, names)
	if err == unix.EOPNOTSUPP {
		return nil
	}
	if err != nil {
		return err
	}
	count, listed := 0, false
	for name := range bytes.SplitSeq(names[:n], []byte{0}) {
		name := string(name)
		if name != selinux && name != acl && !strings.HasPrefix(name, "user.") {
			continue
		}
		listed = listed || name == acl
		if count++; count > maxLabels {
			return refusal("the existing file has more than 64 extended attributes")
		}
		if err := copyLabel(from, s.fd, name); err != nil {
			return err
		}
	}
	if !listed {
		// Nor does the new one have one, which its directory may have given it.
		if err := unix.Fremovexattr(s.fd, acl); err != nil && err != unix.ENODATA && err != unix.EOPNOTSUPP {
			return err
		}
	}
	return nil
}

// inheritLabel gives what is new the label of the directory that it is in.
func (w *work) inheritLabel(dir, to int) error {
	from, err := w.reopen(dir)
	if err != nil {
		return err
	}
	defer unix.Close(from)
	return copyLabel(from, to, selinux)
}

func copyLabel(from, to int, name string) error {
	value := make([]byte, maxLabelBytes) // XATTR_SIZE_MAX
	n, err := unix.Fgetxattr(from, name, value)
	if err == unix.ENODATA || err == unix.EOPNOTSUPP {
		return nil // gone, or no security module that knows it
	}
	if err == nil {
		err = unix.Fsetxattr(to, name, value[:n], 0)
	}
	if err == unix.EOPNOTSUPP && name != acl { // without its list it could be open to more
		return nil
	}
	return err
}

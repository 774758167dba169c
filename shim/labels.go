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

// copyLabels gives the new file the SELinux label and the user attributes of the
// old one: xattr(7). A new file keeps the label that its directory gives it.
func (w *work) copyLabels(old existing, to int) error {
	if old.fd < 0 {
		return nil
	}
	from, err := w.reopen(old.fd)
	if err == unix.EAGAIN {
		return nil // a lease, see same: the label of its directory has to do
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
	count := 0
	for name := range bytes.SplitSeq(names[:n], []byte{0}) {
		if name := string(name); name == "security.selinux" || strings.HasPrefix(name, "user.") {
			if count++; count > maxLabels {
				return refusal("the existing file has more than 64 extended attributes")
			}
			if err := copyLabel(from, to, name); err != nil {
				return err
			}
		}
	}
	return nil
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
	if err == unix.EOPNOTSUPP {
		return nil
	}
	return err
}

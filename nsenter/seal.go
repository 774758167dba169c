package nsenter

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// maxBinary is the largest program in bytes that is sealed.
const maxBinary = 128 << 20

// minFd is what the memfd's number is moved above: as low as the descriptors that
// a child is given, it would be overwritten before the child can exec it.
const minFd = 100

// Seal copies the shim's binary into memory once and seals it there, so that what
// is executed later can be changed by nobody, not through /proc/PID/exe either
// (CVE-2019-5736). The caller closes it.
func Seal(path string) (*Shim, error) {
	s := &Shim{slots: make(chan struct{}, maxShims), hanging: make(map[identity]*running)}
	// The agent's own, and the node's: pid 1's, which some nodes do not let one
	// read, and the kernel threads'.
	for _, link := range []string{"/proc/self/ns/mnt", "/proc/1/ns/mnt", "/proc/2/ns/mnt"} {
		if target, err := os.Readlink(link); err == nil {
			s.node = append(s.node, parseNamespace(target))
		}
	}
	if len(s.node) == 0 {
		return nil, fmt.Errorf("seal the shim: %w: no mount namespace in /proc can be read", ErrPermission)
	}
	// F_SEAL_EXEC keeps the mode's x as it is.
	fd, err := SealProgram("podreload-shim", path, unix.F_SEAL_EXEC)
	if err != nil {
		return nil, fmt.Errorf("seal the shim %s: %w", path, err)
	}
	s.fd = fd
	return s, nil
}

// SealProgram copies a program into memory and seals it there. It returns a descriptor
// to execute it by, which the caller closes. More seals than those that keep its
// bytes are tried: a kernel may not know them. A script is no program here.
func SealProgram(name, path string, more int) (fd int, err error) {
	from, err := os.Open(path)
	if err != nil {
		return -1, err
	}
	defer from.Close()
	var magic [4]byte
	if _, err := io.ReadFull(from, magic[:]); err != nil || string(magic[:]) != "\x7fELF" {
		return -1, errors.New("it is no ELF program")
	}
	to, err := createProgram(name)
	if err != nil {
		return -1, err
	}
	defer to.Close()
	n, err := io.Copy(to, io.NewSectionReader(from, 0, maxBinary+1))
	if err != nil {
		return -1, err
	}
	if n > maxBinary {
		return -1, fmt.Errorf("it has more than %d bytes", maxBinary)
	}
	if err := to.Chmod(0o511); err != nil {
		return -1, err
	}
	unix.FcntlInt(to.Fd(), unix.F_ADD_SEALS, more)
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(to.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return -1, fmt.Errorf("add seals: %w", err)
	}
	return unix.FcntlInt(to.Fd(), unix.F_DUPFD_CLOEXEC, minFd)
}

// createProgram makes an executable file in memory. MFD_EXEC is of Linux 6.3; where it is
// not known a memfd is executable anyway.
func createProgram(name string) (*os.File, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate(name, flags)
	}
	switch {
	case errors.Is(err, unix.EACCES):
		return nil, fmt.Errorf("%w: the node forbids to execute from memory; set the sysctl vm.memfd_noexec to 0 or 1: %w", ErrPermission, err)
	case err != nil:
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// Close ends the spare, if one is kept, lets go of the binary and waits a moment
// for killed shims to end. An error says that some hang in the kernel still. No
// Cross may be under way.
func (s *Shim) Close() error {
	done := make(chan struct{})
	go func() {
		s.reaper.Wait()
		close(done)
	}()
	timeout := time.NewTimer(closeTimeout)
	defer timeout.Stop()
	for {
		select {
		case r := <-s.spare: // also one that is only just being started
			r.socket.Close()
		case <-done:
			return unix.Close(s.fd)
		case <-timeout.C:
			unix.Close(s.fd)
			return fmt.Errorf("close the shim: %w (%d)", ErrStuck, len(s.slots))
		}
	}
}

package check

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	// maxBinary is the largest OCI runtime in bytes that is sealed.
	maxBinary = 128 << 20

	// maxSealed is how many runtimes a node may have.
	maxSealed = 8

	// minFd is what a memfd's number is moved above: as low as the descriptors that a
	// child is given, it would be overwritten before the child can exec it.
	minFd = 100
)

// ociRuntimes are OCI runtimes in memory, each copied there once. It is not only
// that nobody can change what is run: runc copies itself for each container it
// makes unless it runs from a memfd with exactly these seals, and that copy is a large
// part of the time it takes.
type ociRuntimes struct {
	mu     sync.Mutex
	sealed map[string]sealed
}

// sealed is a program and what its file was when it was copied.
type sealed struct {
	fd   int
	file os.FileInfo
}

// path returns what to execute for the OCI runtime at path.
func (o *ociRuntimes) path(path string) (string, error) {
	file, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("the container's OCI runtime: %w", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	s, ok := o.sealed[path]
	if ok && (!os.SameFile(s.file, file) || !s.file.ModTime().Equal(file.ModTime()) || s.file.Size() != file.Size()) {
		unix.Close(s.fd)
		delete(o.sealed, path)
		ok = false
	}
	if !ok {
		fd, err := seal(path)
		if err != nil || len(o.sealed) >= maxSealed {
			return path, nil // a script, or a node that executes nothing from memory
		}
		s = sealed{fd: fd, file: file}
		o.sealed[path] = s
	}
	return "/proc/self/fd/" + strconv.Itoa(s.fd), nil
}

func (o *ociRuntimes) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range o.sealed {
		unix.Close(s.fd)
	}
	clear(o.sealed)
}

// seal copies a program into memory.
func seal(path string) (int, error) {
	from, err := os.Open(path)
	if err != nil {
		return -1, err
	}
	defer from.Close()
	var magic [4]byte
	if _, err := io.ReadFull(from, magic[:]); err != nil || string(magic[:]) != "\x7fELF" {
		return -1, errors.New("no program for this kernel")
	}
	if _, err := from.Seek(0, io.SeekStart); err != nil {
		return -1, err
	}
	// MFD_EXEC is of Linux 6.3; where it is not known a memfd is executable anyway.
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate("podreload-runtime", flags|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate("podreload-runtime", flags)
	}
	if err != nil {
		return -1, err
	}
	to := os.NewFile(uintptr(fd), "podreload-runtime")
	defer to.Close()
	if n, err := io.Copy(to, io.LimitReader(from, maxBinary+1)); err != nil || n > maxBinary {
		return -1, errors.Join(err, errors.New("too large"))
	}
	// These and no others (F_SEAL_EXEC) are what runc looks for.
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(to.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return -1, err
	}
	return unix.FcntlInt(to.Fd(), unix.F_DUPFD_CLOEXEC, minFd)
}

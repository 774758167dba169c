package check

import (
	"fmt"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/nsenter"
)

// maxSealed is how many runtimes a node may have.
const maxSealed = 8

// ociRuntimes are OCI runtimes in memory, each copied there once. It is not only
// that nobody can change what is run: runc copies itself for each container it
// makes unless it runs from a memfd with exactly the seals of nsenter.SealProgram (F_SEAL_EXEC
// is one too many), and that copy is a large part of the time it takes.
type ociRuntimes struct {
	mu     sync.Mutex
	sealed map[string]*sealed
}

// sealed is a program and what its file was when it was copied. One whose file was replaced
// stays open until nobody is about to execute it: its number would be another file's.
type sealed struct {
	fd       int
	file     os.FileInfo
	users    int
	replaced bool
}

// program returns what to execute for the OCI runtime at path. The caller calls done when it
// has been.
func (o *ociRuntimes) program(path string) (exe string, done func(), err error) {
	file, err := os.Stat(path)
	if err != nil {
		return "", nil, fmt.Errorf("the container's OCI runtime: %w", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.sealed[path]
	if s != nil && !s.of(file) {
		o.retire(path)
		s = nil
	}
	if s == nil {
		if len(o.sealed) >= maxSealed {
			return path, func() {}, nil
		}
		fd, err := nsenter.SealProgram("podreload-runtime", path, 0)
		if err != nil {
			return path, func() {}, nil // a script, or a node that executes nothing from memory
		}
		s = &sealed{fd: fd, file: file}
		o.sealed[path] = s
	}
	s.users++
	return "/proc/self/fd/" + strconv.Itoa(s.fd), sync.OnceFunc(func() { o.done(s) }), nil
}

func (s *sealed) of(file os.FileInfo) bool {
	return os.SameFile(s.file, file) && s.file.ModTime().Equal(file.ModTime()) && s.file.Size() == file.Size()
}

func (o *ociRuntimes) done(s *sealed) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s.users--
	s.closeUnused()
}

func (o *ociRuntimes) retire(path string) {
	s := o.sealed[path]
	delete(o.sealed, path)
	s.replaced = true
	s.closeUnused()
}

func (s *sealed) closeUnused() {
	if s.replaced && s.users == 0 {
		unix.Close(s.fd)
	}
}

func (o *ociRuntimes) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for path := range o.sealed {
		o.retire(path)
	}
}

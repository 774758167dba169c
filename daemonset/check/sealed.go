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
		if len(o.sealed) >= maxSealed {
			return path, nil
		}
		fd, err := nsenter.SealProgram("podreload-runtime", path, 0)
		if err != nil {
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

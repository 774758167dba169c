package template

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
)

// Bounds of what is read from a confdir.
const (
	maxTOML     = 1 << 20
	maxTemplate = 4 << 20
	maxFiles    = 4096
	maxFolders  = 1024
)

// findResources lists the files of conf.d whose names end in toml, as confd
// does, sorted. Names that begin with ".." are skipped: the kubelet keeps the
// versions of a ConfigMap under such names and links to them.
func findResources(root *os.Root) ([]string, []Problem) {
	w := walker{root: root, wanted: func(name string) bool { return strings.HasSuffix(name, "toml") }}
	w.folder("conf.d", nil)
	return w.files, w.problems
}

type walker struct {
	root     *os.Root
	wanted   func(name string) bool
	files    []string
	enter    func(name string) // if set, is told of each folder before it is read
	folders  int
	problems []Problem
}

func (w *walker) fail(name, format string, args ...any) {
	w.problems = append(w.problems, Problem{File: name, Message: fmt.Sprintf(format, args...)})
}

// folder walks one folder. Parents are those it was reached through: a link
// back to one of them is not followed, which ends every cycle.
func (w *walker) folder(name string, parents []fs.FileInfo) {
	info, err := w.root.Stat(name)
	if err != nil {
		w.fail(name, "%s", reason(err))
		return
	}
	if slices.ContainsFunc(parents, func(p fs.FileInfo) bool { return os.SameFile(p, info) }) {
		return
	}
	if w.folders++; w.folders > maxFolders {
		if w.folders == maxFolders+1 {
			w.fail(name, "more than %d folders; the rest is not read", maxFolders)
		}
		return
	}
	if w.enter != nil {
		w.enter(name)
	}
	entries, err := fs.ReadDir(w.root.FS(), name)
	if err != nil {
		w.fail(name, "%s", reason(err))
		return
	}
	parents = append(slices.Clip(parents), info)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "..") {
			continue
		}
		w.entry(path.Join(name, e.Name()), e, parents)
	}
}

func (w *walker) entry(name string, e fs.DirEntry, parents []fs.FileInfo) {
	dir := e.IsDir()
	if e.Type()&fs.ModeSymlink != 0 {
		// A link that leads nowhere is reported when it is read, if it is
		// named like a resource.
		info, err := w.root.Stat(name)
		dir = err == nil && info.IsDir()
	}
	switch {
	case dir:
		w.folder(name, parents)
	case !w.wanted(name):
	case len(w.files) == maxFiles:
		w.fail(name, "more than %d files; this one is not read", maxFiles)
	default:
		w.files = append(w.files, name)
	}
}

// readFile reads a regular file of at most limit bytes. It never waits: a FIFO
// is opened without blocking and then refused.
func readFile(root *os.Root, name string, limit int64) ([]byte, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("is not a regular file")
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("is larger than %d bytes", limit)
	}
	return data, nil
}

// reason is an error without the path, which stands before it already.
func reason(err error) string {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		err = pathError.Err
	}
	if err.Error() == escapes {
		return "it is a symbolic link, or below one, that is absolute or leads out of the confdir; make it relative, and to what is inside"
	}
	return err.Error()
}

// escapes is what os.Root says of such a link; the error has no name.
const escapes = "path escapes from parent"

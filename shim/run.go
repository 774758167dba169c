package shim

import (
	"golang.org/x/sys/unix"
)

// Root is where Run works. Both are handles that the caller keeps.
type Root struct {
	Dir  int // the directory that is "/" for every path of the request
	Self int // /proc/self/fd of the node (not of the container), to reopen a handle by its number
}

// Run does what the request asks for below the root, and sends its signal
// through the given function, which is called at most once and last.
//
// It stages every file before the first is renamed: when a file cannot be
// staged nothing has changed. It returns when it is done; a filesystem that
// hangs hangs it too, so it belongs in a process that can be killed.
func Run(root Root, req Request, signal func(sig int) error) Result {
	w := work{root: root, req: req, dirs: make(map[string]int)}
	defer w.close()
	for _, f := range req.Files {
		res, err := w.prepare(f)
		if err != nil {
			w.result.Error = err
			w.undo()
			return w.result
		}
		w.result.Files = append(w.result.Files, res)
	}
	if req.Op != Apply {
		return w.result
	}
	for i, s := range w.staged {
		if err := w.commit(s); err != nil {
			w.result.Error = failure(StepCommit, s.path, err)
			for _, s := range w.staged[i:] {
				w.result.Files[s.index].Changed = false
			}
			w.undo()
			return w.result
		}
		w.result.Committed = true
	}
	if req.Signal != 0 && (w.result.Committed || req.Always) {
		if err := signal(req.Signal); err != nil {
			w.result.Error = failure(StepSignal, "", err)
			return w.result
		}
		w.result.Signalled = true
	}
	return w.result
}

// work is one request under way.
type work struct {
	root   Root
	req    Request
	result Result

	dirs   map[string]int // handles of the parents, by path: one for all files in it
	open   []int          // every handle, closed at the end
	made   []entry        // directories made by us
	staged []*staged
}

// entry is a name in a directory that there is a handle of.
type entry struct {
	dir  int
	name string
}

// prepare does everything for one file that does not show yet.
func (w *work) prepare(f File) (FileResult, *Error) {
	res := FileResult{Path: f.Path}
	dir, base, err := w.parent(f)
	if err == errMissingParent {
		// Nothing to read, or for Compare a directory that Apply would make.
		res.Changed = w.req.Op == Compare
		return res, nil
	}
	if err != nil {
		return res, failure(StepOpen, f.Path, err)
	}
	old, err := w.look(dir, base, f.Path)
	if err != nil {
		return res, failure(StepLook, f.Path, err)
	}
	res.Existed = old.fd >= 0
	if w.req.Op == Read {
		if old.fd >= 0 {
			res.Data, err = w.read(old)
		}
		if err != nil {
			return res, failure(StepLook, f.Path, err)
		}
		return res, nil
	}
	want := w.attributes(f, old)
	if same, err := w.same(old, f.Data, want); err != nil {
		return res, failure(StepLook, f.Path, err)
	} else if same {
		return res, nil
	}
	res.Changed = true
	if w.req.Op == Compare {
		return res, nil
	}
	s := &staged{entry: entry{dir, base}, path: f.Path, index: len(w.result.Files), replaces: old.taken, fd: -1}
	w.staged = append(w.staged, s)
	if err := w.stage(s, f.Data, want, old); err != nil {
		return res, failure(StepStage, f.Path, err)
	}
	return res, nil
}

// keep remembers a handle until the end.
func (w *work) keep(fd int) int {
	w.open = append(w.open, fd)
	return fd
}

// undo takes away what was staged and not committed. What has no name yet goes
// with its handle.
func (w *work) undo() {
	for _, s := range w.staged {
		if s.named {
			unix.Unlinkat(s.dir, s.hidden(), 0)
		}
	}
	for i := len(w.made) - 1; i >= 0; i-- {
		unix.Unlinkat(w.made[i].dir, w.made[i].name, unix.AT_REMOVEDIR) // stays if it is in use by now
	}
}

func (w *work) close() {
	for _, fd := range w.open {
		unix.Close(fd)
	}
}

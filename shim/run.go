package shim

import (
	"time"

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
// It stages every file before the first is renamed, and puts the renamed ones
// back if a later one cannot be: after a failure every old file is in its place,
// unless [Result.Committed] says otherwise. It returns when it is done; a
// filesystem that hangs hangs it too, so it belongs in a process that can be
// killed. With maps of a user namespace it changes whom the calling thread
// creates files as, for good.
func Run(root Root, req Request, signal func(sig int) error) Result {
	w := start(root, req)
	defer w.close()
	if err := w.become(); err != nil {
		w.result.Error = failure(StepBecome, "", err)
		return w.result
	}
	one := w.prepare
	switch req.Op {
	case Exists:
		one = w.exists
	case Fetch:
		one = w.fetch
	}
	for _, f := range req.Files {
		res, err := one(f)
		if err != nil {
			return w.fail(err)
		}
		w.result.Files = append(w.result.Files, res)
	}
	if req.Op != Apply {
		return w.result
	}
	if err := w.commit(); err != nil {
		return w.fail(err)
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
	fsuid  uint32 // whose the files are at first

	dirs   map[string]int      // handles of the parents, by path: one for all files in it
	inodes map[inode]int       // the same, by what they are
	wanted map[entry]bool      // the files so far
	links  map[int][]linkOwner // whose links led to a handle, without root's
	open   []int               // every handle, closed at the end
	made   []entry             // directories made by us
	locked map[inode]bool      // the directories that no other shim is to write to, as far as that can be had
	staged []*staged

	waitUntil time.Time // until when locks that others hold are waited for, from the first on
}

func start(root Root, req Request) *work {
	return &work{
		root: root, req: req, fsuid: uint32(unix.Geteuid()), locked: make(map[inode]bool),
		dirs: make(map[string]int), inodes: make(map[inode]int), wanted: make(map[entry]bool), links: make(map[int][]linkOwner),
	}
}

type inode struct{ dev, ino uint64 }

// entry is a name in a directory that there is a handle of.
type entry struct {
	dir  int
	name string
}

// prepare does everything for one file that does not show yet.
func (w *work) prepare(f File) (FileResult, *Error) {
	res := FileResult{Path: f.Path}
	at, err := w.parent(f)
	if err == errMissingParent {
		// Nothing to read or to remove, or for Compare a directory that Apply
		// would make.
		res.Changed = w.req.Op == Compare && !f.Absent
		return res, nil
	}
	if err != nil {
		return res, failure(StepOpen, f.Path, err)
	}
	if w.req.Op == Apply {
		at.sweep()
	}
	old, err := w.look(at, f.Path)
	if err != nil {
		return res, failure(StepLook, f.Path, err)
	}
	if old.fd >= 0 {
		res.Existed, res.Before = true, &old.Attributes
	}
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
	uid, gid, err := w.owner(want)
	if err != nil {
		return res, failure(StepStage, f.Path, err)
	}
	if same, err := w.same(old, f, want); err != nil {
		return res, failure(StepLook, f.Path, err)
	} else if res.Changed = !same; w.req.Op == Compare {
		return res, nil
	} else if same {
		res.After = res.Before
		return res, nil
	}
	s := &staged{
		entry: at, path: f.Path, index: len(w.result.Files), replaces: old.taken, removes: f.Absent,
		fd: -1, mode: want.Mode, uid: uid, gid: gid,
	}
	w.staged = append(w.staged, s)
	if f.Absent {
		return res, nil
	}
	res.After = &want
	if err := w.stage(s, f.Data, old); err != nil {
		return res, failure(StepStage, f.Path, err)
	}
	return res, nil
}

// fail undoes what can be undone, and has the result say what is left of it.
func (w *work) fail(err *Error) Result {
	w.result.Error = err
	w.undo()
	for _, s := range w.staged {
		if s.index < len(w.result.Files) && !s.done {
			f := &w.result.Files[s.index]
			f.Changed, f.After = false, f.Before
		}
		w.result.Committed = w.result.Committed || s.done
	}
	return w.result
}

// keep remembers a handle until the end.
func (w *work) keep(fd int) int {
	w.open = append(w.open, fd)
	return fd
}

func (w *work) close() {
	for _, fd := range w.open {
		unix.Close(fd)
	}
}

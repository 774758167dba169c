package shim

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// commit puts everything that is staged in its place. What could fail for want
// of space comes before the first rename; what fails after it is for undo, which
// is why every old file but the last keeps a hidden name until all is done.
func (w *work) commit() *Error {
	for i, s := range w.staged {
		if err := w.ready(s, i == len(w.staged)-1); err != nil {
			return failure(StepCommit, s.path, err)
		}
	}
	for _, s := range w.staged {
		if err := w.place(s); err != nil {
			return failure(StepCommit, s.path, err)
		}
		s.done = true
	}
	for _, s := range w.staged {
		if s.kept {
			unix.Unlinkat(s.dir, s.old(), 0) // else the next sweep does
		}
	}
	w.result.Committed = len(w.staged) > 0
	return nil
}

// ready gives the old file and the new one their hidden names.
func (w *work) ready(s *staged, last bool) error {
	if s.replaces && !last {
		// By its name: if it was swapped meanwhile, what is kept is what will be
		// replaced. A directory cannot be linked, nor renamed over.
		switch err := anew(s.dir, s.old(), func() error {
			return unix.Linkat(s.dir, s.name, s.dir, s.old(), 0)
		}); err {
		case nil:
			s.kept = true
		case unix.ENOENT:
			s.replaces = false // removed meanwhile
		case unix.EPERM, unix.ENOSYS, unix.EOPNOTSUPP, unix.EMLINK:
			// A filesystem without hard links, or the file has too many: it
			// cannot be put back. The agent has a copy.
		default:
			return err
		}
	}
	if s.removes || s.named || !s.replaces {
		return nil
	}
	s.named = true
	return w.linkHidden(s)
}

// place makes one change visible, at once and whole.
func (w *work) place(s *staged) error {
	if s.removes {
		err := unix.Unlinkat(s.dir, s.name, 0)
		if err == unix.ENOENT {
			return nil
		}
		return err
	}
	if !s.named {
		err := w.link(s, s.name)
		if err != unix.EEXIST {
			return err
		}
		// Someone inside was quicker: replace theirs.
		s.named, s.replaces = true, true
		if err := w.linkHidden(s); err != nil {
			return err
		}
	}
	if err := unix.Renameat(s.dir, s.hidden(), s.dir, s.name); err != nil {
		return err
	}
	s.named = false
	return nil
}

// undo puts back what was replaced or removed and takes away what was staged or
// made, the last first. What was staged and has no name goes with its handle.
func (w *work) undo() {
	for i := len(w.staged) - 1; i >= 0; i-- {
		s := w.staged[i]
		switch {
		case s.done && s.kept:
			s.done = unix.Renameat(s.dir, s.old(), s.dir, s.name) != nil
		case s.done && !s.replaces && !s.removes:
			s.done = unix.Unlinkat(s.dir, s.name, 0) != nil
		}
		if s.kept {
			unix.Unlinkat(s.dir, s.old(), 0)
		}
		if s.named {
			unix.Unlinkat(s.dir, s.hidden(), 0)
		}
	}
	for i := len(w.made) - 1; i >= 0; i-- {
		unix.Unlinkat(w.made[i].dir, w.made[i].name, unix.AT_REMOVEDIR) // stays if it is in use by now
	}
}

// linkHidden gives the staged file its hidden name.
func (w *work) linkHidden(s *staged) error {
	return anew(s.dir, s.hidden(), func() error { return w.link(s, s.hidden()) })
}

// link names a file that has no name. By way of /proc/self/fd it takes no
// CAP_DAC_READ_SEARCH, as AT_EMPTY_PATH does: open(2), O_TMPFILE.
func (w *work) link(s *staged, name string) error {
	return unix.Linkat(w.root.Self, strconv.Itoa(s.fd), s.dir, name, unix.AT_SYMLINK_FOLLOW)
}

// anew makes a hidden name, also where there is one already.
func anew(dir int, name string, create func() error) error {
	for try := 0; ; try++ {
		err := create()
		if err != unix.EEXIST || try == 3 {
			return err
		}
		if err := unix.Unlinkat(dir, name, 0); err != nil && err != unix.ENOENT {
			return err
		}
	}
}

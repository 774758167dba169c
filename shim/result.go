package shim

import "syscall"

// Result is what was done, and what stopped it.
type Result struct {
	// Files has one entry for each file of the request, in order, as far as the
	// work got.
	Files []FileResult

	Signalled bool   // the signal was sent
	Committed bool   // what was to change has changed, or a part of it that could not be put back
	Error     *Error // nil: all was done
}

// FileResult is what happened to one file.
type FileResult struct {
	Path    string
	Changed bool   // it was changed or, for Compare, would be
	Existed bool   // there was a file before; for Exists, whatever it is
	Data    []byte // its contents, for Read and Fetch

	// Before and After are what it had and, for Apply, has now. Nil: there was,
	// or is, no file. Of a link they are those of the file that it leads to.
	Before, After *Attributes
}

// Attributes are what a file has beside its contents, as the container numbers
// its owners.
type Attributes struct {
	Mode, UID, GID uint32 // Mode: permission bits, with set-id and sticky
}

// Err is the result's error, as an error.
func (r Result) Err() error {
	if r.Error == nil {
		return nil
	}
	return r.Error
}

// Changed says whether any file was (or would be) changed.
func (r Result) Changed() bool {
	for _, f := range r.Files {
		if f.Changed {
			return true
		}
	}
	return false
}

// The steps in which a request can fail.
const (
	StepDecode = "read the request"
	StepBecome = "become a user of the container"
	StepOpen   = "open the parent directory"
	StepLook   = "look at the existing file"
	StepStage  = "stage"
	StepCommit = "commit"
	StepSignal = "signal"
)

// Error says in which step a request failed, on what, why, and what a person
// can do about it.
type Error struct {
	Step    string        // one of the steps above
	Path    string        // as the container sees it; empty where none is concerned
	Errno   syscall.Errno // 0 for a refusal of our own
	Message string        // the reason, and what to do
}

// Error is one line.
func (e *Error) Error() string {
	s := e.Step
	if e.Path != "" {
		s += " " + e.Path
	}
	return s + ": " + e.Message
}

// Unwrap is the errno, so that errors.Is works on it.
func (e *Error) Unwrap() error {
	if e.Errno == 0 {
		return nil
	}
	return e.Errno
}

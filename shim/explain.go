package shim

import (
	"path"

	"golang.org/x/sys/unix"
)

// refusal is a reason of our own not to do something.
type refusal string

func (r refusal) Error() string { return string(r) }

// failure makes the result's error: which step, on what, why, and what to do.
func failure(step, file string, err error) *Error {
	errno, ok := err.(unix.Errno)
	if !ok {
		return &Error{Step: step, Path: file, Message: err.Error()}
	}
	return &Error{Step: step, Path: file, Errno: errno, Message: errno.Error() + advice(step, file, errno)}
}

// advice says what a person can do about an errno.
func advice(step, file string, errno unix.Errno) string {
	dir := path.Dir(file)
	if step == StepSignal {
		switch errno {
		case unix.ESRCH:
			return ": the process has exited meanwhile"
		case unix.EPERM:
			return ": the agent needs CAP_KILL"
		case unix.EINVAL:
			return ": the process is not in the container's PID namespace"
		case unix.ENOMEM:
			return ": the container is exiting"
		}
		return ""
	}
	switch errno {
	case unix.EROFS:
		return ": mount a volume, an emptyDir for example, at " + dir
	case unix.ENOSPC:
		return ": the filesystem that holds " + dir + " is full; free some space, or raise the volume's size"
	case unix.EDQUOT:
		return ": the quota of the filesystem that holds " + dir + " is used up"
	case unix.ENOENT:
		if step == StepOpen {
			return ": " + dir + " does not exist; set mkdir = true to have it made"
		}
		return ": " + dir + " was removed meanwhile"
	case unix.ENOTDIR:
		return ": a part of " + dir + " is not a directory"
	case unix.ELOOP:
		return ": its links go round in a circle, or through one of /proc"
	case unix.EACCES, unix.EPERM:
		return ": the file or " + dir + " is immutable, or a security module or a missing capability of the agent (CAP_DAC_OVERRIDE, CAP_CHOWN, CAP_FOWNER) forbids it"
	case unix.EBUSY:
		return ": something is mounted there; mount the directory " + dir + " instead"
	case unix.EISDIR, unix.ENOTEMPTY, unix.EEXIST:
		return ": something else was put there meanwhile"
	case unix.EAGAIN:
		return ": directories on the path keep being renamed"
	case unix.EOVERFLOW:
		return ": the filesystem that holds " + dir + " has no number for the owner: it is of another user namespace, or its mount maps no such user"
	case unix.ENAMETOOLONG:
		return ": shorten the path"
	case unix.EMFILE, unix.ENFILE:
		return ": too many files in one request for the limit of open files"
	}
	return ""
}

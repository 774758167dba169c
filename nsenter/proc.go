package nsenter

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxRead caps what is read of a file of /proc, in bytes. The longest is the status of a process
// that has all the groups that the kernel allows, 65536 of up to eleven bytes. Only what a file has is taken room for.
const maxRead = 1 << 20

// Info is what the node's /proc says of a process at one moment. The command line
// is not in it: that lies in the process's memory, and to read it can hang.
type Info struct {
	Pid, PPid int    // as the node numbers them
	Session   int    // its session's leader, which may have ended, as the node numbers it
	NSPid     int    // as the process's own PID namespace numbers it
	StartTime uint64 // clock ticks since boot
	State     byte   // R, S, D, Z, T, …: field 3 of /proc/PID/stat
	Exiting   bool   // its main thread is ending: executable, namespaces and (with v1) cgroup may be gone
	Comm      string // the container's to write: a hint
	Exe       string // the executable's path, as the container sees it; with " (deleted)" when it was replaced
	Cgroup    string // /proc/PID/cgroup, as the kernel prints it
	SigCgt    uint64 // the signals that it catches, signal n as bit n-1
	UID       uint32 // effective, as the node numbers it

	// The inode numbers that name its namespaces. 0 for a zombie.
	PIDNS, MntNS, UserNS uint64
}

// Catches says whether the process has a handler for the signal.
func (i Info) Catches(sig syscall.Signal) bool {
	return sig >= 1 && sig <= 64 && i.SigCgt&(1<<(sig-1)) != 0
}

// ReadInfo reads what /proc says of the process that has the pid now. All of it
// is of one process: it is read through one handle on /proc/PID, which the
// kernel binds to the process. The error is ErrGone when there is none, and
// ErrPermission when CAP_SYS_PTRACE is missing.
func ReadInfo(pid int) (Info, error) {
	info, err := readInfo(pid)
	if err != nil {
		return Info{}, fmt.Errorf("read /proc/%d: %w", pid, err)
	}
	return info, nil
}

func readInfo(pid int) (Info, error) {
	dir, err := openProc(pid)
	if err != nil {
		return Info{}, err
	}
	defer unix.Close(dir)

	info := Info{Pid: pid}
	// The cgroup first: where it is gone because the process is ending, stat then says that it is.
	b, err := readAt(dir, "cgroup", maxRead)
	if err != nil {
		return Info{}, err
	}
	info.Cgroup = string(b)

	if b, err = readAt(dir, "stat", maxRead); err != nil {
		return Info{}, err
	}
	st, err := parseStat(b)
	if err != nil {
		return Info{}, err
	}
	info.PPid, info.Session, info.State, info.Exiting, info.Comm, info.StartTime = st.ppid, st.session, st.state, st.exiting, st.comm, st.start

	if b, err = readAt(dir, "status", maxRead); err != nil {
		return Info{}, err
	}
	status, err := parseStatus(b)
	if err != nil {
		return Info{}, err
	}
	info.NSPid, info.SigCgt, info.UID = status.nspid, status.sigCgt, status.uid

	// A zombie or a kernel thread has no executable and no namespaces.
	if info.Exe, err = linkAt(dir, "exe"); err != nil {
		return Info{}, err
	}
	for _, ns := range []struct {
		name string
		to   *uint64
	}{{"ns/pid", &info.PIDNS}, {"ns/mnt", &info.MntNS}, {"ns/user", &info.UserNS}} {
		link, err := linkAt(dir, ns.name)
		if err != nil {
			return Info{}, err
		}
		*ns.to = parseNamespace(link)
	}
	return info, nil
}

func readExe(pid int) (string, error) {
	dir, err := openProc(pid)
	if err != nil {
		return "", err
	}
	defer unix.Close(dir)
	return linkAt(dir, "exe")
}

func readStat(pid int) (stat, error) {
	dir, err := openProc(pid)
	if err != nil {
		return stat{}, err
	}
	defer unix.Close(dir)
	b, err := readAt(dir, "stat", maxRead)
	if err != nil {
		return stat{}, err
	}
	return parseStat(b)
}

// openProc opens a handle on /proc/PID. The kernel binds it to the process:
// once that is gone, everything below the handle is ESRCH or ENOENT, also when
// the pid is in use again.
func openProc(pid int) (int, error) {
	fd, err := unix.Open("/proc/"+strconv.Itoa(pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	return fd, sentinel(err)
}

// ReadProc reads a file of /proc/PID, at most limit bytes of it. Whose it is has to be asked
// afterwards. The error is the kernel's.
func ReadProc(pid int, name string, limit int) ([]byte, error) {
	b, err := read(unix.AT_FDCWD, fmt.Sprintf("/proc/%d/%s", pid, name), limit)
	if err != nil {
		return nil, fmt.Errorf("read /proc/%d/%s: %w", pid, name, err)
	}
	return b, nil
}

// readAt reads a file below the handle, at most limit bytes of it.
func readAt(dir int, name string, limit int) ([]byte, error) {
	b, err := read(dir, name, limit)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, sentinel(err))
	}
	return b, nil
}

// read reads a file of /proc by as few system calls as that takes: an os.File asks the
// poller first, and grows what it reads into by little. A proof reads dozens, mostly of a
// few bytes.
func read(dir int, name string, limit int) ([]byte, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var usual [2048]byte // status has less
	b := usual[:0]
	for len(b) < limit {
		if len(b) == cap(b) {
			b = slices.Grow(b, min(limit-len(b), len(b)))
		}
		n, err := unix.Read(fd, b[len(b):min(cap(b), limit)])
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return nil, err
		case n == 0:
			return bytes.Clone(b), nil
		default:
			b = b[:len(b)+n]
		}
	}
	return bytes.Clone(b), nil
}

// linkAt reads a link below the handle. It is empty, without an error, when
// the process has no such thing: a zombie, or a kernel thread.
func linkAt(dir int, name string) (string, error) {
	var b [unix.PathMax]byte
	n, err := unix.Readlinkat(dir, name, b[:])
	switch {
	case errors.Is(err, unix.ENOENT):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("%s: %w", name, sentinel(err))
	}
	return string(b[:n]), nil
}

// sentinel gives an error of /proc this package's name, where it has one.
func sentinel(err error) error {
	switch {
	case errors.Is(err, unix.ESRCH), errors.Is(err, unix.ENOENT):
		return ErrGone
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: CAP_SYS_PTRACE is needed: %w", ErrPermission, err)
	}
	return err
}

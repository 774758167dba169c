package shim

import (
	"time"

	"golang.org/x/sys/unix"
)

// How long a request waits for all its locks together, and how long from one try to the next at most.
const (
	lockPatience = time.Second
	lockPause    = 20 * time.Millisecond
)

// lock keeps from a directory the shims of other containers that have it too (a volume that is
// shared): hidden names are the same for the same file, so that one would take the other's for those of a
// killed one, and would put back what it has replaced. It holds until the request is done; the kernel
// lets go of it with the process.
//
// It is advice that whoever can open the directory may hold for ever, and there are
// filesystems without. So a request waits for it a bounded time, and then goes on: as it does where two
// requests have locked two directories the other way round. flock(2) itself cannot wait until a deadline.
func (w *work) lock(dir int, is inode) {
	if w.locked[is] {
		return // a second lock would wait for the first
	}
	w.locked[is] = true
	fd, err := w.reopen(dir)
	if err != nil {
		return
	}
	w.keep(fd)
	for pause := time.Millisecond; ; pause = min(2*pause, lockPause) {
		err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		if err != unix.EWOULDBLOCK && err != unix.EINTR {
			return
		}
		if w.waitUntil.IsZero() {
			w.waitUntil = time.Now().Add(lockPatience)
		}
		if time.Now().After(w.waitUntil) {
			return
		}
		time.Sleep(pause)
	}
}

func identify(fd int) (inode, error) {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	return inode{uint64(st.Dev), st.Ino}, err
}

package state

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/daemonset"
)

// ErrLocked: an apply to the container is under way, in this process or another.
var ErrLocked = errors.New("locked")

// Lock waits until nobody else applies to the container, or ctx ends; the error
// then wraps [ErrLocked] and names the process that does. Each Lock opens a file
// of the container's own anew and locks that, so locks end with their process
// and hold between goroutines too.
func (s *Store) Lock(ctx context.Context, id string) (unlock func(), err error) {
	lock, err := await(ctx, func() (*os.File, error) { return s.tryLock(id) })
	if errors.Is(err, ErrLocked) {
		return nil, fmt.Errorf("%w; wait for it or end it: %w", err, context.Cause(ctx))
	}
	if err != nil {
		return nil, err
	}
	return func() { release(lock) }, nil
}

// await tries until the lock is free; it is ErrLocked if ctx ends before.
func await(ctx context.Context, try func() (*os.File, error)) (*os.File, error) {
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		lock, err := try()
		if err == nil || !errors.Is(err, ErrLocked) {
			return lock, err
		}
		// The kernel can wait, but a thread that waits there cannot be called off.
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(wait):
		}
	}
}

// tryLock takes the lock or says ErrLocked at once.
func (s *Store) tryLock(id string) (*os.File, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	lock, err := s.lockFile("locks/" + id)
	if err != nil {
		return nil, fmt.Errorf("container %s: %w", daemonset.ShortID(id), err)
	}
	return lock, nil
}

// lockFile opens and locks a file and writes this process's pid into it. A file
// that was removed between the two, by a [Store.Remove], is no lock: another
// may hold the new one of that name.
func (f folder) lockFile(name string) (*os.File, error) {
	for range 100 {
		lock, err := f.root.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("state: %w", err)
		}
		if err := take(lock); err != nil {
			lock.Close()
			return nil, err
		}
		if f.same(lock, name) {
			note(lock, strconv.Itoa(os.Getpid()))
			return lock, nil
		}
		lock.Close()
	}
	return nil, fmt.Errorf("state: %s is removed again and again", name)
}

// same answers whether name still means the open file.
func (f folder) same(lock *os.File, name string) bool {
	opened, err := lock.Stat()
	if err != nil {
		return false
	}
	named, err := f.root.Stat(name)
	return err == nil && os.SameFile(opened, named)
}

// wholeFile is what is locked. The lock belongs to the open file description
// (fcntl_locking(2)), as that of flock(2) does, but one can also ask for it
// without taking it.
var wholeFile = unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}

// take locks an open file or says ErrLocked at once.
func take(f *os.File) error {
	lock := wholeFile
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return fmt.Errorf("%w by process %s", ErrLocked, holder(f))
	}
	if err != nil {
		return fmt.Errorf("state: lock %s: %w", f.Name(), err)
	}
	return nil
}

// taken answers whether another open file holds the lock, and leaves it alone:
// who took it to find out could for that moment turn its next holder away.
func taken(f *os.File) bool {
	lock := wholeFile
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lock)
	return err == nil && lock.Type != unix.F_UNLCK
}

func release(f *os.File) {
	note(f, "")
	_ = f.Close() // which drops the lock
}

// note replaces what the holder has written. Others can do without it, so that a
// full disk costs no more than that.
func note(f *os.File, text string) {
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(text), 0)
	}
}

// unknown is the pid of a holder that could not write it.
const unknown = "?"

// holder is the first line that the holder has written, its pid.
func holder(f *os.File) string {
	line, _, _ := strings.Cut(read(f), "\n")
	if line == "" {
		return unknown
	}
	return line
}

func read(f *os.File) string {
	text, err := io.ReadAll(io.NewSectionReader(f, 0, 4096))
	if err != nil {
		return ""
	}
	return string(text)
}

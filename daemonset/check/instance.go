package check

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// claim makes a folder of this Checker's own below base and locks it. The lock ends
// with the process, however that ends, and tells a Sweep whose twins are alive.
func claim(base string) (string, *os.File, error) {
	for range 10 {
		var random [4]byte
		rand.Read(random[:]) // never fails
		dir := filepath.Join(base, fmt.Sprintf("%x", random))
		if err := os.Mkdir(dir, 0o711); err != nil {
			return "", nil, err
		}
		// A Sweep can come between: it takes a folder without a lock for a dead one's.
		lock, err := lockDir(dir)
		if err != nil {
			continue
		}
		if opened, err := lock.Stat(); err == nil {
			if named, err := os.Stat(dir); err == nil && os.SameFile(opened, named) {
				return dir, lock, nil
			}
		}
		lock.Close()
	}
	return "", nil, errors.New("every new folder in it is removed at once")
}

// lockDir locks a folder, or fails at once.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

package testenv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const dirPattern = "podreload-node-*"

// claim makes dir (a temporary folder if empty) ours until the file that it returns is closed,
// and clears away what earlier nodes have left in it and in temporary folders.
func claim(dir string) (string, *os.File, error) {
	var err error
	if dir == "" {
		orphans()
		if dir, err = os.MkdirTemp("", dirPattern); err == nil {
			// As /run/containerd is: root of a user namespace goes through it to its rootfs.
			err = os.Chmod(dir, 0o711)
		}
	} else {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		return "", nil, err
	}
	// As mountinfo and command lines will have it.
	if dir, err = filepath.Abs(dir); err != nil {
		return "", nil, err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", nil, err
	}
	f, err := lock(dir, os.O_CREATE)
	if err != nil {
		return "", nil, err
	}
	return dir, f, sweep(dir)
}

// lock takes the lock of a node's folder. It ends with the process, however that ends.
func lock(dir string, flag int) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|flag, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: another process has a node there: %w", dir, err)
	}
	return f, nil
}

// orphans removes temporary nodes whose process was killed, as ^C does with go test. One that has
// an owner, or that cannot be removed, is let be: it is not in our way.
func orphans() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), dirPattern))
	for _, dir := range dirs {
		// Not made here: a folder without one has an owner that has just begun.
		if f, err := lock(dir, 0); err == nil {
			_ = remove(dir)
			f.Close()
		}
	}
}

// remove ends whatever runs in a node's folder and deletes it.
func remove(dir string) error {
	return errors.Join(sweep(dir), os.RemoveAll(dir))
}

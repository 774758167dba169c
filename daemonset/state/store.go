package state

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

var (
	// ErrNotFound: there is no record of that container.
	ErrNotFound = errors.New("no record")

	// ErrRunning: another daemon uses the directory.
	ErrRunning = errors.New("another daemon runs")
)

// Store is the state below one directory. It is safe for concurrent use, also
// by several processes.
type Store struct {
	root *os.Root
	dir  string
}

// Open opens the directory and makes it if it is missing. It refuses one that
// is not the caller's own or that others may write to.
func Open(dir string) (*Store, error) {
	// Others may pass, and list nothing: a runtime that makes a twin in a pod's user
	// namespace passes as one of the pod's users. What is below is closed.
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return nil, fmt.Errorf("state: %w; run as root or name another directory with --state", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("state: %w; run as root or name another directory with --state", err)
	}
	if err := private(root, dir); err != nil {
		root.Close()
		return nil, err
	}
	for _, sub := range []string{"locks", "targets", "files", "contents"} {
		if err := root.Mkdir(sub, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			root.Close()
			return nil, fmt.Errorf("state: %w", err)
		}
	}
	return &Store{root: root, dir: dir}, nil
}

func private(root *os.Root, dir string) error {
	info, err := root.Stat(".")
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	if int(owner) != os.Geteuid() || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("state: %s belongs to user %d with mode %v; it must belong to user %d and be writable by no other (chmod 711)",
			dir, owner, info.Mode().Perm(), os.Geteuid())
	}
	return nil
}

// Close lets go of the directory. Locks that are held stay held.
func (s *Store) Close() error { return s.root.Close() }

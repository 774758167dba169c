package state

import (
	"errors"
	"sync/atomic"
)

var (
	// ErrNotFound: there is no record of that container.
	ErrNotFound = errors.New("no record")

	// ErrRunning: another daemon uses the directory.
	ErrRunning = errors.New("another daemon runs")
)

// Store is what outlives the agent: below --state what ends with the node's boot, as the
// containers that it tells of do, below --root what is kept beyond. It is safe for concurrent
// use, also by several processes.
type Store struct {
	folder        // --state
	kept   folder // --root

	added atomic.Int64  // bytes for histories, since the last Trim
	full  chan struct{} // capacity 1
}

// Full tells that so much was added to what is kept that a Trim is due.
func (s *Store) Full() <-chan struct{} { return s.full }

func (s *Store) grew(bytes int) {
	if s.added.Add(int64(bytes)) > maxGrowth {
		select {
		case s.full <- struct{}{}:
		default:
		}
	}
}

// Open opens both directories, and makes them if they are missing.
func Open(dir, kept string) (*Store, error) {
	// Others may pass the first, and list nothing: a runtime that makes a twin in a pod's user
	// namespace passes as one of the pod's users. What is below is closed.
	run, err := openFolder(dir, "--state", 0o711, "locks", "targets", "files", "contents", "snapshots", "secret")
	if err != nil {
		return nil, err
	}
	disk, err := openFolder(kept, "--root", 0o700, "history", "contents", "snapshots")
	if err != nil {
		return nil, errors.Join(err, run.root.Close())
	}
	return &Store{folder: run, kept: disk, full: make(chan struct{}, 1)}, nil
}

// Close lets go of the directories. Locks that are held stay held.
func (s *Store) Close() error { return errors.Join(s.root.Close(), s.kept.root.Close()) }

package state

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/podreload/podreload/daemonset"
)

// maxStatus bounds a record, in bytes.
const maxStatus = 1 << 20

// Load reads the record of a container; ErrNotFound if there is none, and
// ErrDamaged or ErrNewer if it makes no sense.
func (s *Store) Load(id string) (daemonset.Status, error) {
	if err := checkID(id); err != nil {
		return daemonset.Status{}, err
	}
	name := "targets/" + id + ".json"
	f, err := s.root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return daemonset.Status{}, fmt.Errorf("container %s: %w", daemonset.ShortID(id), ErrNotFound)
	}
	if err != nil {
		return daemonset.Status{}, fmt.Errorf("state: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxStatus+1))
	if err != nil {
		return daemonset.Status{}, fmt.Errorf("state: %w", err)
	}
	status, err := decode(text)
	if err == nil && status.ContainerID != id {
		err = fmt.Errorf("it is of container %q: %w", status.ContainerID, ErrDamaged)
	}
	if err != nil {
		return daemonset.Status{}, fmt.Errorf("%s/%s: %w", s.dir, name, err)
	}
	return status, nil
}

// Save replaces the record of a container, whole or not at all. The caller
// holds the container's lock.
func (s *Store) Save(status daemonset.Status) error {
	if err := checkID(status.ContainerID); err != nil {
		return err
	}
	text, err := encode(status)
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	name := "targets/" + status.ContainerID + ".json"
	staged := "targets/." + status.ContainerID // the lock's holder is its only writer
	// Not synced: a power loss ends the containers too, so nothing is lost then.
	if err := s.root.WriteFile(staged, text, 0o600); err != nil {
		return fmt.Errorf("state: write below %s: %w", s.dir, err)
	}
	if err := s.root.Rename(staged, name); err != nil {
		return fmt.Errorf("state: write below %s: %w", s.dir, err)
	}
	return nil
}

// List reads all records. One that makes no sense does not hide the others: it
// is in the error, the others in the result.
func (s *Store) List() ([]daemonset.Status, error) {
	dir, err := s.root.Open("targets")
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	var out []daemonset.Status
	var errs []error
	for _, name := range names {
		id, ok := strings.CutSuffix(name, ".json")
		if !ok || strings.HasPrefix(name, ".") {
			continue
		}
		switch status, err := s.Load(id); {
		case err == nil:
			out = append(out, status)
		case !errors.Is(err, ErrNotFound): // removed meanwhile
			errs = append(errs, err)
		}
	}
	return out, errors.Join(errs...)
}

// Remove drops the record and the lock of a container that has gone. It does not
// wait: where somebody holds the lock, the caller included, it says ErrLocked
// and leaves both for the next Remove.
func (s *Store) Remove(id string) error {
	lock, err := s.tryLock(id)
	if err != nil {
		return err
	}
	defer release(lock)
	for _, name := range []string{"targets/" + id + ".json", "targets/." + id, "locks/" + id} {
		if err := s.root.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("state: %w", err)
		}
	}
	return nil
}

package state

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"
)

// maxSnapshots bounds what all snapshots together take, in bytes. The oldest go first.
const (
	maxSnapshots = 512 << 20
	maxInMemory  = 64 << 20 // of sensitive ones: others live in the node's memory, too
)

// ErrTooLarge: there is no room for it.
var ErrTooLarge = errors.New("too large to be kept")

// snapshotName is the file of a snapshot; its key tells what it is of, first of which profile, then behind a \x00
// of which keys. The name begins with the profile's, so that all of one are found.
func snapshotName(key string) string {
	profile, _, _ := strings.Cut(key, "\x00")
	return snapshotsOf(profile) + path.Base(formerName(key))
}

// snapshotsOf is what the names of a profile's snapshots begin with.
func snapshotsOf(profile string) string {
	sum := sha256.Sum256([]byte(profile))
	return "snapshots/" + hex.EncodeToString(sum[:16]) + nameSeparator
}

const nameSeparator = "-"

// formerName is what an earlier version called the file, which does not tell the profile.
func formerName(key string) string {
	sum := sha256.Sum256([]byte(key))
	return "snapshots/" + hex.EncodeToString(sum[:])
}

func isFormer(name string) bool { return !strings.Contains(name, nameSeparator) }

// snapshots is where they lie: with a sensitive file among what is made of them, in memory
// only.
func (s *Store) snapshots(sensitive bool) (f folder, most int) {
	if sensitive {
		return s.folder, maxInMemory
	}
	return s.kept, maxSnapshots
}

// KeepSnapshot keeps what write makes under a key, in the place of an earlier one, whole or not at all; of one
// that was plain and is sensitive nothing stays in any case.
// One caller at a time.
func (s *Store) KeepSnapshot(key string, sensitive bool, write func(io.Writer) error) error {
	name := snapshotName(key)
	to, most := s.snapshots(sensitive)
	other, _ := s.snapshots(!sensitive)
	if sensitive { // now: what follows may fail, and the plain one would stay on the disk
		if err := other.dropSnapshot(key); err != nil {
			return fmt.Errorf("state: drop a snapshot below %s: %w", other.dir, err)
		}
	}
	limited := &limitedWriter{left: most, most: most}
	err := to.write("snapshots/.new", name, func(w io.Writer) error {
		limited.Writer = w
		return write(limited)
	})
	if err == nil {
		err = errors.Join(other.dropSnapshot(key), to.drop(formerName(key))) // they are no longer
	}
	if err == nil {
		err = to.fit(name, int64(most))
	}
	if err != nil {
		return fmt.Errorf("state: keep a snapshot below %s: %w", to.dir, err)
	}
	return nil
}

func (f folder) dropSnapshot(key string) error {
	return errors.Join(f.drop(snapshotName(key)), f.drop(formerName(key)))
}

// fit drops the oldest snapshots until all have room; that of name stays.
func (f folder) fit(name string, most int64) error {
	all, err := f.list("snapshots")
	if err != nil {
		return err
	}
	var sum int64
	var errs []error
	for _, file := range all {
		if sum += file.size; sum > most && file.name != name {
			errs = append(errs, f.drop(file.name))
		}
	}
	return errors.Join(errs...)
}

// Snapshot opens what was kept under a key, and says when; [ErrNotFound] if there is none. The caller
// closes it.
func (s *Store) Snapshot(key string, sensitive bool) (io.ReadCloser, time.Time, error) {
	from, _ := s.snapshots(sensitive)
	f, err := from.root.Open(snapshotName(key))
	if errors.Is(err, os.ErrNotExist) && from.root.Rename(formerName(key), snapshotName(key)) == nil {
		f, err = from.root.Open(snapshotName(key))
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil, time.Time{}, fmt.Errorf("snapshot: %w", ErrNotFound)
	}
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("state: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, time.Time{}, errors.Join(fmt.Errorf("state: %w", err), f.Close())
	}
	return f, info.ModTime(), nil
}

type limitedWriter struct {
	io.Writer
	left, most int
}

func (w *limitedWriter) Write(b []byte) (int, error) {
	if w.left -= len(b); w.left < 0 {
		return 0, fmt.Errorf("%w: more than %d MiB", ErrTooLarge, w.most>>20)
	}
	return w.Writer.Write(b)
}

package state

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"time"

	"github.com/podreload/podreload/daemonset"
)

const (
	// maxEntries is how many changes of a target are told.
	maxEntries = 50

	// maxBack is how many configurations, the newest, have their files kept: what one can go
	// back to. The one that is pinned comes on top.
	maxBack = 10

	// maxKeptFile bounds a file that is kept for the way back, in bytes. A server's
	// configuration is far below; what is not is told of without.
	maxKeptFile = 4 << 20
)

// Entry is one change of a target, and the files that were in place after it.
type Entry struct {
	daemonset.Event

	// Files are what one can go back to; nil where the change did not lead to a live
	// configuration, or it is too long ago.
	Files []Saved `json:"files,omitempty"`
}

// historyName is the file of a target, which is named as its container is: names are longer
// together than a file's may be.
func historyName(target string) string {
	sum := sha256.Sum256([]byte(target))
	return "history/" + hex.EncodeToString(sum[:16]) + ".json"
}

// History is what was changed in a target, named namespace/pod/container, the oldest first. It goes on
// over the container's restarts, and in a pod that takes the name of another.
func (s *Store) History(target string) ([]Entry, error) {
	pinned, err := s.pinned(target)
	if err != nil {
		return nil, err
	}
	return s.kept.entries(historyName(target), pinned)
}

// Tell adds a change to a target's history. Files are those that are kept for the container
// and were live after it. What is sensitive among them is from now on so in earlier changes, too, whose
// plain contents the next Trim drops. Where they cannot be kept, as on a full disk, the change is told without, and
// the error says so. The caller holds the container's lock.
func (s *Store) Tell(target string, e Entry) error {
	if err := checkID(e.ContainerID); err != nil {
		return err
	}
	// First: what is kept for a history that takes no more would lead nowhere.
	if err := s.kept.takesEntries(historyName(target)); err != nil {
		return fmt.Errorf("state: keep the history of %s below %s: %w", target, s.kept.dir, err)
	}
	var kept error
	for _, f := range e.Files {
		if err := s.keepBack(e.ContainerID, f); err != nil {
			kept = fmt.Errorf("state: keep %s for the way back, so there is none to this change: %w", f.Path, err)
			e.Files = nil
			break
		}
	}
	return errors.Join(kept, s.add(target, e))
}

// add adds a change to a history.
func (s *Store) add(target string, e Entry) error {
	anew, err := s.mustConceal(target, e)
	if err == nil && !anew {
		var added bool
		added, err = s.kept.appendEntry(historyName(target), e)
		anew = !added
	}
	if err == nil && anew {
		err = s.rewrite(target, e)
	}
	if err != nil {
		return fmt.Errorf("state: keep the history of %s below %s: %w", target, s.kept.dir, err)
	}
	return nil
}

// pinned is the digest that a target is pinned to; empty where it is not.
func (s *Store) pinned(target string) (string, error) {
	all, err := s.Pauses()
	for _, p := range all {
		if p.Target == target {
			return p.Pin, err
		}
	}
	return "", err
}

// Secure has what an entry leads back to on the disk.
func (s *Store) Secure(target string, e Entry) error {
	names := []string{historyName(target)}
	for _, f := range e.Files {
		if folder, name := s.back(f); !f.Absent && folder == s.kept {
			names = append(names, name)
		}
	}
	for _, name := range append(names, "history", "contents") {
		f, err := s.kept.root.Open(name)
		if err == nil {
			err = errors.Join(f.Sync(), f.Close())
		}
		if err != nil {
			return fmt.Errorf("state: write %s to the disk: %w", name, err)
		}
	}
	return nil
}

// back is where the contents of a file of a history lie.
func (s *Store) back(f Saved) (folder, string) {
	if f.Sensitive {
		return s.folder, "secret/" + f.Content // memory, gone after a reboot
	}
	return s.kept, "contents/" + f.Content
}

func (s *Store) keepBack(id string, f Saved) error {
	if f.Absent {
		return nil
	}
	to, name := s.back(f)
	if _, err := to.content(name, f.Content); err == nil {
		now := time.Now()
		return to.root.Chtimes(name, now, now) // it is on its way into a history again
	}
	data, err := s.content(id, f.Content)
	if err != nil || len(data) > maxKeptFile {
		return err
	}
	s.added.Add(max(int64(len(data)), block))
	return to.replace(path.Dir(name)+"/."+id, name, data)
}

// Back brings the files of an entry back with their contents. The error says which of them
// are no longer kept.
func (s *Store) Back(e Entry) ([]daemonset.File, error) {
	return recall(e.Files, func(f Saved) ([]byte, error) {
		from, name := s.back(f)
		data, err := from.content(name, f.Content)
		if errors.Is(err, fs.ErrNotExist) {
			why := "it was dropped to make room, is longer than is kept, or has become sensitive since"
			if f.Sensitive {
				why = "it is sensitive, and such are kept until the node's next boot only, and only what was so from the start"
			}
			err = fmt.Errorf("%w: %s", ErrNotFound, why)
		}
		return data, err
	})
}

// Find is the newest entry of a history with files that answers to match.
func Find(entries []Entry, match func(Entry) bool) (Entry, bool) {
	for _, e := range slices.Backward(entries) {
		if len(e.Files) > 0 && match(e) {
			return e, true
		}
	}
	return Entry{}, false
}

package state

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

const (
	// maxHistories is of how many targets the history is kept, and maxHistory how many bytes
	// all files together have that one can go back to. The oldest go first.
	maxHistories = 2000
	maxHistory   = 256 << 20
	maxSecret    = 32 << 20 // of them in memory, where others live, too

	// maxAge is how long a history or a snapshot stays that nobody adds to.
	maxAge = 30 * 24 * time.Hour

	// maxDir bounds a directory's listing.
	maxDir = 100_000

	// young is what may be on its way into a history: it is written right before.
	young = time.Minute
)

// block is what the smallest file takes of a disk, in bytes.
const block = 4096

// Added is how much room files that one can go back to have taken since the last Trim, in bytes. Between
// two it only grows, since a content may belong to many histories.
func (s *Store) Added() int { return int(s.added.Load()) }

// Trim drops what is too old or too much of what is kept beyond the node's boot. What pods may want
// at any time stays whatever its age, since a clock may be wrong, and keys that never change are
// good all the same: the snapshots of these keys (nil: it is not known which they are, so all), and
// histories that lead to what a target is pinned to. One caller at a time: the daemon. What it
// cannot drop is in the error, and tried again by the next.
func (s *Store) Trim(now time.Time, keys []string) error {
	s.added.Store(0)
	histories, err := s.kept.list("history")
	if err != nil {
		return err
	}
	paused, err := s.Pauses()
	if err != nil {
		return err
	}
	stays, pins, known := map[string]bool{}, map[string]string{}, true
	for _, p := range paused {
		if p.Pin != "" {
			stays[historyName(p.Target)], pins[historyName(p.Target)] = true, p.Pin
		}
	}
	for _, key := range keys {
		stays[snapshotName(key)] = true
	}
	secret := s.sensitiveNow()
	var errs []error
	var used []keptFile
	for i, h := range histories { // the newest first
		if !stays[h.name] && (i >= maxHistories || now.Sub(h.at) > maxAge) {
			errs = append(errs, s.kept.drop(h.name))
			continue
		}
		entries, err := s.kept.entries(h.name, pins[h.name])
		if errors.Is(err, ErrDamaged) {
			errs = append(errs, s.kept.drop(h.name)) // nothing can be made of it any more
			continue
		}
		if err != nil {
			errs, known = append(errs, err), false // what it uses
			continue
		}
		conceal(entries, secret[h.name])
		for _, e := range entries {
			at := e.Time
			if e.Digest == pins[h.name] {
				at = now // whatever its age
			}
			for _, f := range e.Files {
				if !f.Absent {
					_, name := s.back(f)
					used = append(used, keptFile{name: name, at: at})
				}
			}
		}
	}
	if known {
		errs = append(errs, s.kept.keepOnly("contents", used, now, maxHistory), s.folder.keepOnly("secret", used, now, maxSecret))
	}
	for _, f := range []folder{s.kept, s.folder} {
		snapshots, err := f.list("snapshots")
		errs = append(errs, err)
		for _, file := range snapshots {
			if keys != nil && !stays[file.name] && now.Sub(file.at) > maxAge {
				errs = append(errs, f.drop(file.name))
			}
		}
	}
	return errors.Join(errs...)
}

// keptFile is a file, or a use of one.
type keptFile struct {
	name string
	size int64
	at   time.Time
}

func newestFirst(a, b keptFile) int { return cmp.Or(b.at.Compare(a.at), cmp.Compare(a.name, b.name)) }

// list are the files of a sub-directory, the newest first, without such as are being written.
func (f folder) list(sub string) ([]keptFile, error) {
	dir, err := f.root.Open(sub)
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	defer dir.Close()
	infos, err := dir.Readdir(maxDir)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("state: %w", err)
	}
	var out []keptFile
	for _, i := range infos {
		if !strings.HasPrefix(i.Name(), ".") {
			out = append(out, keptFile{name: sub + "/" + i.Name(), size: i.Size(), at: i.ModTime()})
		}
	}
	slices.SortFunc(out, newestFirst)
	return out, nil
}

// keepOnly drops the files of a sub-directory that are not used, and those whose newest use is the oldest
// where all together are more bytes than most.
func (f folder) keepOnly(sub string, used []keptFile, now time.Time, most int64) error {
	files, err := f.list(sub)
	if err != nil {
		return err
	}
	newest := map[string]time.Time{}
	for _, u := range used {
		if u.at.After(newest[u.name]) {
			newest[u.name] = u.at
		}
	}
	for i := range files {
		at, ok := newest[files[i].name]
		if ok {
			files[i].at = at
		} else if now.Sub(files[i].at) > young {
			files[i].at = time.Time{}
		}
	}
	slices.SortFunc(files, newestFirst)
	var sum int64
	var errs []error
	for _, file := range files {
		if sum += file.size; file.at.IsZero() || sum > most {
			errs = append(errs, f.drop(file.name))
		}
	}
	return errors.Join(errs...)
}

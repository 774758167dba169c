package state

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"path"
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

	// forgotten is what has been on its way to its name for so long: who wrote it was killed.
	forgotten = time.Hour

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
// histories that lead to what a target is pinned to. Of sensitive, which has by profile the resources and paths that
// are so now, no plain copy stays on the disk, nor the snapshot of such a profile. One caller at a time: the daemon. What it
// cannot drop is in the error, and tried again by the next; where it cannot be told what is in use, what is
// kept is still bounded.
func (s *Store) Trim(now time.Time, keys []string, sensitive map[string][]Saved) error {
	s.added.Store(0)
	histories, err := s.kept.list("history")
	if err != nil {
		return err
	}
	paused, err := s.Pauses()
	errs, known, pinsKnown := []error{err}, err == nil, err == nil
	pins := map[string]string{}
	for _, p := range paused {
		if p.Pin != "" {
			pins[historyName(p.Target)] = p.Pin
		}
	}
	secret := s.sensitiveNow()
	var used []keptFile
	hidden := map[string]bool{}   // plain copies of what is sensitive
	for i, h := range histories { // the newest first
		if pinsKnown && pins[h.name] == "" && (i >= maxHistories || now.Sub(h.at) > maxAge) {
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
		concealOf(entries, sensitive)
		for _, e := range entries {
			at := e.Time
			if e.Digest == pins[h.name] {
				at = now // whatever its age
			}
			for _, f := range e.Files {
				if f.Absent {
					continue
				}
				_, name := s.back(f)
				used = append(used, keptFile{name: name, at: at})
				if f.Sensitive {
					hidden["contents/"+f.Content] = true
				}
			}
		}
	}
	errs = append(errs,
		s.kept.keepOnly("contents", used, func(name string) bool { return known || hidden[name] }, now, maxHistory),
		s.folder.keepOnly("secret", used, func(string) bool { return known }, now, maxSecret),
		s.trimSnapshots(now, keys, sensitive),
		s.kept.sweep(now, "history", "contents", "snapshots"), s.folder.sweep(now, "secret", "snapshots"))
	return errors.Join(errs...)
}

func (s *Store) trimSnapshots(now time.Time, keys []string, sensitive map[string][]Saved) error {
	stays := map[string]bool{}
	for _, key := range keys {
		stays[snapshotName(key)] = true
		if profile, _, _ := strings.Cut(key, "\x00"); sensitive[profile] == nil {
			stays[formerName(key)] = true // nobody has asked for it yet
		}
	}
	hidden := func(name string) bool {
		for profile := range sensitive {
			if strings.HasPrefix(name, snapshotsOf(profile)) {
				return true
			}
		}
		return false
	}
	var errs []error
	for _, f := range []folder{s.kept, s.folder} {
		snapshots, err := f.list("snapshots")
		errs = append(errs, err)
		for _, file := range snapshots {
			// Of a former one nobody can tell whether its profile is sensitive.
			old := keys != nil && !stays[file.name] && (isFormer(file.name) || now.Sub(file.at) > maxAge)
			if old || f == s.kept && hidden(file.name) {
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
	all, err := f.all(sub)
	return slices.DeleteFunc(all, isStaged), err
}

// sweep drops what a process that was killed has left half written.
func (f folder) sweep(now time.Time, subs ...string) error {
	var errs []error
	for _, sub := range subs {
		all, err := f.all(sub)
		errs = append(errs, err)
		for _, file := range all {
			if isStaged(file) && now.Sub(file.at) > forgotten {
				errs = append(errs, f.drop(file.name))
			}
		}
	}
	return errors.Join(errs...)
}

func isStaged(f keptFile) bool { return strings.HasPrefix(path.Base(f.name), ".") }

func (f folder) all(sub string) ([]keptFile, error) {
	dir, err := f.root.Open(sub)
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	defer dir.Close()
	infos, err := dir.Readdir(maxDir)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("state: %w", err)
	}
	out := make([]keptFile, 0, len(infos))
	for _, i := range infos {
		out = append(out, keptFile{name: sub + "/" + i.Name(), size: i.Size(), at: i.ModTime()})
	}
	slices.SortFunc(out, newestFirst)
	return out, nil
}

// keepOnly drops the files of a sub-directory that are not used, if that is sure of them, and those whose newest use
// is the oldest where all together are more bytes than most.
func (f folder) keepOnly(sub string, used []keptFile, sure func(name string) bool, now time.Time, most int64) error {
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
		} else if sure(files[i].name) && now.Sub(files[i].at) > young {
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

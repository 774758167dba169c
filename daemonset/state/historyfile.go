package state

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

const (
	historyVersion = 2

	// maxAppended is how long a history may grow, in bytes, before it is written anew with
	// what is to stay of it: after some fifty changes.
	maxAppended = 64 << 10
)

// history is the first line of its file. Each line behind it is one Entry more, since version 2: to write
// all anew at each change would be a good part of what a change costs.
type history struct {
	Version int     `json:"version"`
	Target  string  `json:"target"`
	Entries []Entry `json:"entries"` // the oldest first
}

// historyHead is what a file begins with that a line can be added to.
var historyHead = fmt.Appendf(nil, `{"version":%d,`, historyVersion)

// takesEntries says why nothing can be added to a history, as to that of a newer version.
func (f folder) takesEntries(name string) error {
	file, err := f.root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	head := make([]byte, len(historyHead))
	if _, err := file.ReadAt(head, 0); err == nil && bytes.Equal(head, historyHead) {
		return nil
	}
	if _, err = f.entries(name, ""); errors.Is(err, ErrDamaged) {
		return nil // it begins anew
	}
	return err
}

// appendEntry adds a line to a history. It answers false where that has to be written anew: there is none,
// it is long, of an earlier version, or the power was lost in the middle of its last line.
func (f folder) appendEntry(name string, e Entry) (added bool, err error) {
	line, err := encodeJSON(e)
	if err != nil {
		return false, err
	}
	file, err := f.root.OpenFile(name, os.O_RDWR|os.O_APPEND, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return false, err
	}
	head, end := make([]byte, len(historyHead)), make([]byte, 1)
	if size := info.Size(); size < int64(len(head)) || size+int64(len(line)) > maxAppended {
		return false, nil
	}
	if _, err := file.ReadAt(head, 0); err != nil {
		return false, err
	}
	if _, err := file.ReadAt(end, info.Size()-1); err != nil {
		return false, err
	}
	if !bytes.Equal(head, historyHead) || end[0] != '\n' {
		return false, nil
	}
	_, err = file.Write(line) // at once: what another adds comes before or after
	return true, err
}

// rewrite begins a history's file anew, with what is to stay and one change more.
func (s *Store) rewrite(target string, e Entry) error {
	pinned, err := s.pinned(target)
	if err != nil {
		return err
	}
	entries, err := s.kept.entries(historyName(target), pinned)
	if errors.Is(err, ErrDamaged) {
		entries, err = nil, nil // its disk may have lost it; it begins anew
	}
	if err != nil {
		return err
	}
	conceal(entries, e)
	text, err := fitting(target, append(entries, e), pinned)
	if err != nil {
		return err
	}
	write := s.kept.replace
	if pinned != "" {
		write = s.kept.writeText // what is pinned is to be found after a loss of power, too
	}
	return write("history/."+e.ContainerID, historyName(target), text)
}

// entries reads a history, what is to be told of it; none where there is no such file.
func (f folder) entries(name, pinned string) ([]Entry, error) {
	text, err := f.read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	entries, err := decodeHistory(text)
	if err != nil {
		return nil, fmt.Errorf("%s/%s: %w", f.dir, name, err)
	}
	return newest(entries, pinned), nil
}

func decodeHistory(text []byte) ([]Entry, error) {
	if len(text) > maxStatus {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrDamaged, maxStatus)
	}
	head, lines, _ := bytes.Cut(text, []byte("\n"))
	var d history
	if err := decodeJSON(head, historyVersion, &d); err != nil {
		return nil, err
	}
	for line := range bytes.Lines(lines) {
		var e Entry
		if decodeStrictly(line, &e) == nil { // else the power was lost in the middle of it
			d.Entries = append(d.Entries, e)
		}
	}
	return d.Entries, nil
}

// newest are the entries that are told, with the files of the newest maxBack configurations that
// can be gone back to, and those of what is pinned in any case. It is configurations that count and not
// entries: one that is put in place again and again, as after each restart, does not push out what was before it.
func newest(entries []Entry, pinned string) []Entry {
	back := make(map[string]bool) // digests
	for i := len(entries) - 1; i >= 0; i-- {
		e := &entries[i]
		switch {
		case len(e.Files) == 0:
		case back[e.Digest] || len(back) < maxBack || pinned != "" && e.Digest == pinned:
			back[e.Digest] = true
		default:
			e.Files = nil
		}
	}
	for len(entries) > maxEntries {
		entries = withoutOldest(entries, pinned)
	}
	return entries
}

// withoutOldest leaves out the oldest entry without which every configuration can still be gone
// back to, but the newest one. Where there is none it is the oldest that does not lead to what is pinned.
func withoutOldest(entries []Entry, pinned string) []Entry {
	back := make(map[string]bool)
	oldest, other := -1, 0
	for i := len(entries) - 1; i >= 0; i-- {
		e := entries[i]
		if i < len(entries)-1 && (len(e.Files) == 0 || back[e.Digest]) {
			oldest = i
		}
		if pinned == "" || e.Digest != pinned {
			other = i
		}
		back[e.Digest] = back[e.Digest] || len(e.Files) > 0
	}
	if oldest < 0 {
		oldest = other
	}
	return slices.Delete(entries, oldest, oldest+1)
}

// fitting encodes a history with the newest entries, as many as may be.
func fitting(target string, entries []Entry, pinned string) ([]byte, error) {
	for entries = newest(entries, pinned); ; entries = withoutOldest(entries, pinned) {
		text, err := encodeJSON(history{Version: historyVersion, Target: target, Entries: entries})
		if !errors.Is(err, errTooLong) || len(entries) == 1 {
			return text, err
		}
	}
}

package state

import (
	"errors"
	"io/fs"
	"slices"

	"github.com/podreload/podreload/daemonset"
)

// mustConceal answers whether earlier entries of a target's history lead to a plain copy of what e holds as
// sensitive. Where nothing of e is, it reads nothing.
func (s *Store) mustConceal(target string, e Entry) (bool, error) {
	if !slices.ContainsFunc(e.Files, func(f Saved) bool { return f.Sensitive }) {
		return false, nil
	}
	text, err := s.kept.read(historyName(target))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	entries, err := decodeHistory(text)
	if errors.Is(err, ErrDamaged) {
		return false, nil // it leads nowhere
	}
	return conceal(entries, e), err
}

// conceal marks as sensitive what entries hold of a path or of contents that are sensitive in e, which comes
// after them: a person who says so late means what was kept before, too. Unmarked it would lead to a plain copy
// on the disk, which stays as long as anything does. It reports whether there was any.
func conceal(entries []Entry, e Entry) (some bool) {
	paths, contents := secrets(e)
	for _, entry := range entries {
		for i := range entry.Files {
			if f := &entry.Files[i]; !f.Absent && !f.Sensitive && (paths[f.Path] || contents[f.Content]) {
				f.Sensitive, some = true, true
			}
		}
	}
	return some
}

// sensitiveNow is what is sensitive by now, by the name of the history: where a person has said so and the files
// stay as they are nothing is told, and only the records know. One that cannot be read says nothing.
func (s *Store) sensitiveNow() map[string]Entry {
	records, _ := s.List()
	now := map[string]Entry{}
	for _, r := range records {
		if slices.ContainsFunc(r.Good, func(f Saved) bool { return f.Sensitive }) {
			name := historyName(daemonset.Container{Name: r.Name, Pod: daemonset.Pod{Namespace: r.Namespace, Name: r.Pod}}.String())
			now[name] = Entry{Files: append(now[name].Files, r.Good...)}
		}
	}
	return now
}

// concealOf marks as sensitive what entries hold of files that their profiles have as such by now, and with it
// what else has the same contents. A pod that has gone says it in no other way, nor does one whose last pass ended
// before its record was written, as of one that is paused.
func concealOf(entries []Entry, sensitive map[string][]Saved) {
	for _, e := range entries {
		some := false
		for i := range e.Files {
			if f := &e.Files[i]; !f.Absent && !f.Sensitive && isAmong(sensitive[e.Profile], *f) {
				f.Sensitive, some = true, true
			}
		}
		if some {
			conceal(entries, e)
		}
	}
}

// isAmong goes by the resource where there is one: the path may be the pod's, or another by now.
func isAmong(files []Saved, f Saved) bool {
	return slices.ContainsFunc(files, func(s Saved) bool {
		return s.Path != "" && s.Path == f.Path || s.Resource != "" && s.Resource == f.Resource
	})
}

// secrets are the paths and the contents of what is sensitive in an entry, without contents that it holds in
// plain, too, such as none at all.
func secrets(e Entry) (paths, contents map[string]bool) {
	paths, contents = map[string]bool{}, map[string]bool{}
	for _, f := range e.Files {
		if f.Sensitive {
			paths[f.Path], contents[f.Content] = true, true
		}
	}
	delete(contents, "") // of what is absent
	for _, f := range e.Files {
		if !f.Sensitive {
			delete(contents, f.Content)
		}
	}
	return paths, contents
}

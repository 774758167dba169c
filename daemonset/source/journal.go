package source

// maxJournal bounds the keys that are remembered as changed. Who comes later looks at all.
const maxJournal = 1024

// journal is which keys have changed, one after the other. Snapshots share its keys: they
// are added to, and never changed.
type journal struct {
	of    *byte // tells a state from one that was read anew
	first int   // the number of keys[0]
	keys  []string
}

func (j *journal) add(key string) {
	if len(j.keys) == maxJournal {
		const half = maxJournal / 2
		j.keys = append(make([]string, 0, maxJournal), j.keys[half:]...)
		j.first += half
	}
	j.keys = append(j.keys, key)
}

// Since returns the keys that were put or deleted between older and s, some perhaps more than once; ok is
// false where that is not known: older is of another feed, of before a read of much or of another etcd, or too old.
// The caller does not change them.
func (s *Snapshot) Since(older *Snapshot) (keys []string, ok bool) {
	if older == nil || older.changes.of == nil || older.changes.of != s.changes.of {
		return nil, false
	}
	from := older.changes.first + len(older.changes.keys) - s.changes.first
	if from < 0 || from > len(s.changes.keys) {
		return nil, false
	}
	return s.changes.keys[from:], true
}

package source

import (
	"errors"
	"fmt"
	"path"

	"github.com/google/btree"
)

// maxBytes bounds what one feed may hold of keys and values: a mistyped key
// such as "/" on a big etcd must not take the node's memory.
const maxBytes = 256 << 20

// errTooMuch stays until keys are narrowed or deleted.
var errTooMuch = errors.New("too much below the keys")

// state is what a feed builds its snapshots from. It belongs to one goroutine.
type state struct {
	tree     *btree.BTreeG[item]
	cluster  uint64 // etcd's cluster id; 0 where nobody knows it
	revision int64
	head     int64 // etcd's revision at the last check
	proved   int64 // the revision up to which a watch had brought all; 0, or lower than revision, says nothing
	bytes    int
	most     int // what bytes may come to
	odd      int // keys that are no clean paths
	changes  journal

	// top is the newest key while known says so; no key is ever newer. It is
	// asked for at every check, and a walk over a million keys is felt.
	top   item
	known bool
}

func newState() *state {
	const degree = 32
	return &state{tree: btree.NewG(degree, byKey), known: true, most: maxBytes, changes: journal{of: new(byte)}}
}

func (s *state) put(it item) error {
	if old, ok := s.tree.ReplaceOrInsert(it); ok {
		s.removed(old)
	}
	return s.added(it)
}

func (s *state) added(it item) error {
	if odd(it) {
		s.odd++
	}
	s.bytes += len(it.text)
	if it.mod >= s.top.mod {
		s.top, s.known = it, true
	}
	if s.bytes > s.most {
		return fmt.Errorf("%w: more than %d MiB (read up to %s): name narrower keys", errTooMuch, s.most>>20, it.key())
	}
	return nil
}

func (s *state) delete(key string) {
	if old, ok := s.tree.Delete(at(key)); ok {
		s.removed(old)
	}
}

func (s *state) removed(old item) {
	s.bytes -= len(old.text)
	if odd(old) {
		s.odd--
	}
	if old.mod == s.top.mod && old.key() == s.top.key() {
		s.known = false
	}
}

// newest returns the key that was written last (one of them, if one
// transaction wrote several).
func (s *state) newest() item {
	if s.known {
		return s.top
	}
	s.top, s.known = item{}, true
	s.tree.Ascend(func(i item) bool {
		if i.mod > s.top.mod {
			s.top = i
		}
		return true
	})
	return s.top
}

// changed are the keys that now, which was read later, does not hold as s does; ok is false where nobody can tell
// what that means: another etcd, or one that went back, or where it would be much work.
func (s *state) changed(now *state) (keys []string, ok bool) {
	if s == nil || s.cluster != now.cluster || s.revision > now.revision || s.bytes > small || now.bytes > small {
		return nil, false
	}
	now.tree.Ascend(func(it item) bool {
		if held, _ := s.tree.Get(it); held != it {
			keys = append(keys, it.key())
		}
		return true
	})
	s.tree.Ascend(func(it item) bool {
		if !now.tree.Has(it) {
			keys = append(keys, it.key())
		}
		return true
	})
	return keys, true
}

// snapshot freezes what the state holds now. The tree is copied on write, so
// this costs the same for one key and for a million.
func (s *state) snapshot() *Snapshot {
	return &Snapshot{tree: s.tree.Clone(), cluster: s.cluster, revision: s.revision, odd: s.odd, changes: s.changes}
}

// odd says whether the key is no clean path.
func odd(i item) bool { return path.Clean(i.key()) != i.key() }

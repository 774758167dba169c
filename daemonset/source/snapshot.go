package source

import (
	"iter"
	"path"

	"github.com/google/btree"
)

// Snapshot is what a set of keys held at one etcd revision. It never changes
// and may be used by many goroutines. Snapshots of one feed share what did not
// change between them.
type Snapshot struct {
	tree     *btree.BTreeG[item]
	cluster  uint64
	revision int64
	odd      int // keys that are no clean paths
	changes  journal
}

// Revision is etcd's revision that the snapshot was read at, or that of the
// last change it has taken in: nothing that it covers changed since. It is
// lower than an earlier snapshot's after etcd was restored from a backup.
func (s *Snapshot) Revision() int64 { return s.revision }

// Len is the number of keys.
func (s *Snapshot) Len() int { return s.tree.Len() }

// Plain says whether every key is a clean path: none has a doubled or trailing
// slash, or "." or ".." in it.
func (s *Snapshot) Plain() bool { return s.odd == 0 }

// Get returns the value of exactly that key.
func (s *Snapshot) Get(key string) (value string, ok bool) {
	it, ok := s.tree.Get(at(key))
	return it.value(), ok
}

// All yields every key and its value, sorted by key.
func (s *Snapshot) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		s.tree.Ascend(func(it item) bool { return yield(it.key(), it.value()) })
	}
}

// Range yields the key that prefix names and all below it, as a key of
// [Client.Subscribe] means them, sorted.
func (s *Snapshot) Range(prefix string) iter.Seq2[string, string] {
	prefix = path.Clean("/" + prefix)
	return func(yield func(string, string) bool) {
		if it, ok := s.tree.Get(at(prefix)); ok && prefix != "/" && !yield(it.key(), it.value()) {
			return
		}
		s.tree.AscendRange(at(below(prefix)), at(after(prefix)), func(it item) bool {
			return yield(it.key(), it.value())
		})
	}
}

// Empty returns those of keys, each as [Client.Subscribe] means it, that have
// nothing at or below them. It costs a look-up for each, however much they
// hold.
func (s *Snapshot) Empty(keys []string) (empty []string) {
	for _, key := range keys {
		found := false
		for range s.Range(key) {
			found = true
			break
		}
		if !found {
			empty = append(empty, key)
		}
	}
	return empty
}

package source

import (
	"fmt"
	"iter"
	"path"

	"github.com/google/btree"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// Snapshot is what a set of keys held at one etcd revision. It never changes
// and may be used by many goroutines. Snapshots of one feed share what did not
// change between them.
type Snapshot struct {
	tree     *btree.BTreeG[item]
	revision int64
}

// item is one key of etcd; mod is the revision that wrote it last.
type item struct {
	key, value string
	mod        int64
}

func newItem(kv *mvccpb.KeyValue) item {
	return item{key: string(kv.Key), value: string(kv.Value), mod: kv.ModRevision}
}

func byKey(a, b item) bool { return a.key < b.key }

// Revision is etcd's revision that the snapshot was read at, or that of the
// last change it has taken in: nothing that it covers changed since. It is
// lower than an earlier snapshot's after etcd was restored from a backup.
func (s *Snapshot) Revision() int64 { return s.revision }

// Len is the number of keys.
func (s *Snapshot) Len() int { return s.tree.Len() }

// Get returns the value of exactly that key.
func (s *Snapshot) Get(key string) (value string, ok bool) {
	it, ok := s.tree.Get(item{key: key})
	return it.value, ok
}

// All yields every key and its value, sorted by key.
func (s *Snapshot) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		s.tree.Ascend(func(it item) bool { return yield(it.key, it.value) })
	}
}

// Range yields the key that prefix names and all below it, as a key of
// [Client.Subscribe] means them, sorted.
func (s *Snapshot) Range(prefix string) iter.Seq2[string, string] {
	prefix = path.Clean("/" + prefix)
	return func(yield func(string, string) bool) {
		if it, ok := s.tree.Get(item{key: prefix}); ok && prefix != "/" && !yield(it.key, it.value) {
			return
		}
		s.tree.AscendRange(item{key: below(prefix)}, item{key: after(prefix)}, func(it item) bool {
			return yield(it.key, it.value)
		})
	}
}

// maxBytes bounds what one feed may hold of keys and values: a mistyped key
// such as "/" on a big etcd must not take the node's memory.
const maxBytes = 256 << 20

// state is what a feed builds its snapshots from. It belongs to one goroutine.
type state struct {
	tree     *btree.BTreeG[item]
	revision int64
	bytes    int
}

func newState() *state {
	const degree = 32
	return &state{tree: btree.NewG(degree, byKey)}
}

func (s *state) put(it item) error {
	if old, ok := s.tree.ReplaceOrInsert(it); ok {
		s.bytes -= len(old.key) + len(old.value)
	}
	s.bytes += len(it.key) + len(it.value)
	if s.bytes > maxBytes {
		return fmt.Errorf("more than %d MiB below the keys (read up to %s): name narrower keys", maxBytes>>20, it.key)
	}
	return nil
}

func (s *state) delete(key string) {
	if old, ok := s.tree.Delete(item{key: key}); ok {
		s.bytes -= len(old.key) + len(old.value)
	}
}

// newest returns the key that was written last (one of them, if one
// transaction wrote several).
func (s *state) newest() (it item) {
	s.tree.Ascend(func(i item) bool {
		if i.mod > it.mod {
			it = i
		}
		return true
	})
	return it
}

// snapshot freezes what the state holds now. The tree is copied on write, so
// this costs the same for one key and for a million.
func (s *state) snapshot() *Snapshot {
	return &Snapshot{tree: s.tree.Clone(), revision: s.revision}
}

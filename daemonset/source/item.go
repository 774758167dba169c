package source

import (
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// item is one key of etcd. Key and value lie in one string: values are short as
// a rule, and a second allocation with its header would weigh as much as a
// third of them.
type item struct {
	text string // the key, then the value
	size int    // of the key
	mod  int64  // the revision that wrote it last
}

func newItem(kv *mvccpb.KeyValue) item {
	var b strings.Builder
	b.Grow(len(kv.Key) + len(kv.Value))
	b.Write(kv.Key)
	b.Write(kv.Value)
	return item{text: b.String(), size: len(kv.Key), mod: kv.ModRevision}
}

// at is an item to look key up with.
func at(key string) item { return item{text: key, size: len(key)} }

func (i item) key() string   { return i.text[:i.size] }
func (i item) value() string { return i.text[i.size:] }

func byKey(a, b item) bool { return a.key() < b.key() }

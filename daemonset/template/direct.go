package template

import (
	"iter"
	"path"
	"slices"
	"strings"
)

// direct are pairs that are looked up in the snapshot itself. The name that a
// template has for a key is the key less root, and the other way round.
type direct struct {
	kv   KV
	root string   // "" or a clean path
	keys []string // absolute, clean, sorted, none below another
}

// newDirect is nil where names and keys do not belong together one to one: when
// a key is no clean path, when the resource's keys lead out of its prefix
// (`../other`), or when the prefix itself is a key.
func newDirect(kv KV, r *Resource) *direct {
	root := strings.TrimSuffix(r.Prefix, "/")
	if root == "/" || root != "" && path.Clean(root) != root || !kv.Plain() {
		return nil
	}
	d := &direct{kv: kv, root: root, keys: outermost(r.absoluteKeys())}
	for _, k := range d.keys {
		if root != "" && k != root && !isBelow(k, root) {
			return nil
		}
	}
	if root != "" && covers(d.keys, root) {
		if _, ok := kv.Get(root); ok {
			return nil
		}
	}
	return d
}

// covers says whether one of keys is key or above it.
func covers(keys []string, key string) bool {
	return slices.ContainsFunc(keys, func(k string) bool { return k == key || isBelow(key, k) })
}

func (d *direct) find(name string) (string, bool) {
	if !strings.HasPrefix(name, "/") {
		return "", false
	}
	key := d.root + name
	if !covers(d.keys, key) {
		return "", false
	}
	return d.kv.Get(key)
}

func (d *direct) below(dir string) iter.Seq2[string, string] {
	if !strings.HasPrefix(dir, "/") {
		return func(func(string, string) bool) {}
	}
	if dir == "/" {
		dir = d.root
	} else {
		dir = d.root + dir
	}
	if dir == "" {
		dir = "/"
	}
	var ranges []string
	if covers(d.keys, dir) {
		ranges = []string{dir}
	} else {
		for _, k := range d.keys {
			if isBelow(k, dir) {
				ranges = append(ranges, k)
			}
		}
	}
	if len(ranges) < 2 {
		return func(yield func(string, string) bool) {
			for _, r := range ranges {
				d.walk(r, yield)
			}
		}
	}
	// One range is not always whole before the next: /a-b is between /a and
	// /a/b.
	return func(yield func(string, string) bool) {
		var all []KVPair
		for _, r := range ranges {
			d.walk(r, func(k, v string) bool { all = append(all, KVPair{k, v}); return true })
		}
		slices.SortFunc(all, func(a, b KVPair) int { return strings.Compare(a.Key, b.Key) })
		for _, p := range all {
			if !yield(p.Key, p.Value) {
				return
			}
		}
	}
}

func (d *direct) walk(prefix string, yield func(string, string) bool) {
	for key, value := range d.kv.Range(prefix) {
		if !yield(key[len(d.root):], value) {
			return
		}
	}
}

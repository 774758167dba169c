package template

import (
	"iter"
	"path"
	"slices"
	"strings"
)

// sorted are pairs that were taken out of the snapshot one by one, since their
// names are not where the keys are: what confd does for all.
type sorted KVPairs

func newSorted(kv KV, r *Resource) sorted {
	var pairs, odd KVPairs
	for _, prefix := range outermost(r.absoluteKeys()) {
		for k, v := range kv.Range(prefix) {
			key, clean := relative(k, r.Prefix)
			if clean {
				pairs = append(pairs, KVPair{key, v})
			} else {
				odd = append(odd, KVPair{key, v})
			}
		}
	}
	// Several keys of etcd can become one: /a/b, /a//b and /a/b/. In confd
	// chance decides; here the plain one stands, else the last.
	slices.Reverse(pairs)
	slices.Reverse(odd)
	pairs = append(pairs, odd...)
	slices.SortStableFunc(pairs, func(a, b KVPair) int { return strings.Compare(a.Key, b.Key) })
	return sorted(slices.CompactFunc(pairs, func(a, b KVPair) bool { return a.Key == b.Key }))
}

// outermost are the keys that no other one covers, sorted.
func outermost(keys []string) []string {
	slices.Sort(keys)
	var out []string
	for _, k := range keys {
		if !covers(out, k) {
			out = append(out, k)
		}
	}
	return out
}

// relative is the key as templates see it: path.Join("/", the key without the
// prefix). Plain keys, nearly all, are cut out of k and cost no memory.
func relative(k, prefix string) (key string, clean bool) {
	rest, cut := strings.CutPrefix(k, prefix)
	if cut && strings.HasSuffix(prefix, "/") {
		rest = k[len(prefix)-1:]
	}
	if strings.HasPrefix(rest, "/") && path.Clean(rest) == rest {
		return rest, true
	}
	return path.Join("/", rest), false
}

func (s sorted) index(key string) (int, bool) {
	return slices.BinarySearchFunc(s, key, func(p KVPair, key string) int {
		return strings.Compare(p.Key, key)
	})
}

func (s sorted) find(key string) (string, bool) {
	i, ok := s.index(key)
	if !ok {
		return "", false
	}
	return s[i].Value, true
}

func (s sorted) below(dir string) iter.Seq2[string, string] {
	part := s
	if dir != "/" {
		first, _ := s.index(dir + "/")
		end, _ := s.index(dir + "0") // "0" is the byte after "/"
		part = s[first:end]
		if i, ok := s.index(dir); ok {
			part = slices.Concat(s[i:i+1], part)
		}
	}
	return func(yield func(string, string) bool) {
		for _, p := range part {
			if !yield(p.Key, p.Value) {
				return
			}
		}
	}
}

package template

import (
	"errors"
	"fmt"
	"iter"
	"path"
	"slices"
	"strings"
)

// ErrNoKey is wrapped by the error of a render that asked for a key that is
// not there. It is mended by a put, not by time.
var ErrNoKey = errors.New("key does not exist")

// KV is a snapshot of etcd: absolute keys and their values, sorted by key.
type KV interface {
	All() iter.Seq2[string, string]
}

// KVPair is what get returns to a template.
type KVPair struct{ Key, Value string }

// KVPairs is what gets returns to a template, sorted by key. It is a type of
// its own, as in confd: `reverse` knows []KVPair and leaves KVPairs alone.
type KVPairs []KVPair

// Len is there for templates that call it as a method.
func (p KVPairs) Len() int { return len(p) }

// store is what one resource sees of a snapshot: the keys it asks for, with
// its prefix taken off.
type store struct {
	pairs  KVPairs // sorted by key, each key once
	prefix string
}

func newStore(kv KV, r *Resource) *store {
	keys := r.absoluteKeys()
	var pairs, odd KVPairs
	for k, v := range kv.All() {
		if !covered(k, keys) {
			continue
		}
		key, clean := relative(k, r.Prefix)
		if clean {
			pairs = append(pairs, KVPair{key, v})
		} else {
			odd = append(odd, KVPair{key, v})
		}
	}
	byKey := func(a, b KVPair) int { return strings.Compare(a.Key, b.Key) }
	if len(odd) > 0 || !slices.IsSortedFunc(pairs, byKey) {
		// Several keys of etcd can become one: /a/b, /a//b and /a/b/. In confd
		// chance decides; here the plain one stands, else the last.
		slices.Reverse(pairs)
		slices.Reverse(odd)
		pairs = append(pairs, odd...)
		slices.SortStableFunc(pairs, byKey)
		pairs = slices.CompactFunc(pairs, func(a, b KVPair) bool { return a.Key == b.Key })
	}
	return &store{pairs: pairs, prefix: r.Prefix}
}

// covered says whether one of keys is k or above it.
func covered(k string, keys []string) bool {
	for _, key := range keys {
		if rest, ok := strings.CutPrefix(k, key); ok && (rest == "" || rest[0] == '/' || key == "/") {
			return true
		}
	}
	return false
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

func (s *store) find(key string) (int, bool) {
	return slices.BinarySearchFunc(s.pairs, key, func(p KVPair, key string) int {
		return strings.Compare(p.Key, key)
	})
}

func (s *store) exists(key string) bool {
	_, ok := s.find(key)
	return ok
}

func (s *store) get(key string) (KVPair, error) {
	i, ok := s.find(key)
	if ok {
		return s.pairs[i], nil
	}
	err := fmt.Errorf("%w: %s", ErrNoKey, key)
	if s.prefix != "/" {
		err = fmt.Errorf("%w (%s in etcd)", err, path.Join(s.prefix, key))
	}
	return KVPair{}, err
}

// getv takes the default for a key that is missing, not for an empty value.
func (s *store) getv(key string, defaults ...string) (string, error) {
	p, err := s.get(key)
	if err != nil && len(defaults) > 0 {
		return defaults[0], nil
	}
	return p.Value, err
}

// gets matches the pattern with whole keys: "*" does not cross a slash. No
// match is no error, and in an empty store a bad pattern is none either.
func (s *store) gets(pattern string) (KVPairs, error) {
	found := KVPairs{}
	if len(s.pairs) == 0 {
		return found, nil
	}
	if _, err := path.Match(pattern, s.pairs[0].Key); err != nil {
		return nil, fmt.Errorf("%w: %q", err, pattern)
	}
	literal := pattern
	if i := strings.IndexAny(pattern, `*?[\`); i >= 0 {
		literal = pattern[:i]
	}
	first, _ := s.find(literal)
	for _, p := range s.pairs[first:] {
		if !strings.HasPrefix(p.Key, literal) {
			break
		}
		ok, err := path.Match(pattern, p.Key)
		if err != nil {
			return nil, fmt.Errorf("%w: %q", err, pattern)
		}
		if ok {
			found = append(found, p)
		}
	}
	return found, nil
}

// getvs is sorted by value, not by key.
func (s *store) getvs(pattern string) ([]string, error) {
	pairs, err := s.gets(pattern)
	if err != nil {
		return nil, err
	}
	values := make([]string, len(pairs))
	for i, p := range pairs {
		values[i] = p.Value
	}
	slices.Sort(values)
	return values, nil
}

// ls lists the names one level below dir; a key lists itself. Of "/" confd
// lists keys only, no folders, and so does this.
func (s *store) ls(dir string) ([]string, error) {
	names := []string{}
	if s.exists(dir) {
		names = append(names, path.Base(dir))
	}
	clean := path.Clean(dir)
	for _, p := range s.below(clean) {
		if p.Key == dir || clean == "/" && path.Dir(p.Key) != "/" {
			continue
		}
		// As written, not cleaned: of "/a//b" confd lists "a".
		rest := strings.TrimPrefix(strings.TrimPrefix(p.Key, dir), "/")
		names = appendNew(names, rest)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// lsdir lists those names below dir that have something below themselves. Of
// "/" that is always nothing in confd.
func (s *store) lsdir(dir string) ([]string, error) {
	names := []string{}
	clean := path.Clean(dir)
	if clean == "/" {
		return names, nil
	}
	for _, p := range s.below(clean) {
		rest := p.Key[len(clean)+1:]
		if strings.HasPrefix(p.Key, dir) && strings.Contains(rest, "/") {
			names = appendNew(names, rest)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// appendNew adds the first element of a path unless it was the last one added:
// neighbours mostly share it.
func appendNew(names []string, rest string) []string {
	name, _, _ := strings.Cut(rest, "/")
	if n := len(names); n > 0 && names[n-1] == name {
		return names
	}
	return append(names, name)
}

// below is the part of the store whose keys lie below dir, which is clean.
func (s *store) below(dir string) KVPairs {
	if dir == "/" {
		return s.pairs
	}
	first, _ := s.find(dir + "/")
	end, _ := s.find(dir + "0") // "0" is the byte after "/"
	return s.pairs[first:end]
}

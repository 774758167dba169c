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

// KV is a snapshot of etcd: absolute keys and their values. It does not change.
type KV interface {
	// Get returns the value of exactly that key.
	Get(key string) (value string, ok bool)

	// Range yields the key that prefix names and all below it, sorted. The
	// prefix is a clean path; the keys need not be: /a//b is below /a.
	Range(prefix string) iter.Seq2[string, string]

	// Plain says whether every key is a clean path, as nearly all are.
	Plain() bool
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
	pairs
	prefix string
}

// pairs are keys as a template sees them, each once, and their values.
type pairs interface {
	find(key string) (value string, ok bool)

	// below yields at least the keys below dir, a clean path, and may yield
	// dir itself. They are sorted. Of "/" that is every key.
	below(dir string) iter.Seq2[string, string]
}

// newStore does not walk the snapshot: a template that reads three keys of
// fifty thousand looks up three. Where a key of etcd may not be under the name
// that it seems to have, that cannot be.
func newStore(kv KV, r *Resource) *store {
	if p := newDirect(kv, r); p != nil {
		return &store{p, r.Prefix}
	}
	return &store{newSorted(kv, r), r.Prefix}
}

func (s *store) exists(key string) bool {
	_, ok := s.find(key)
	return ok
}

func (s *store) get(key string) (KVPair, error) {
	if value, ok := s.find(key); ok {
		return KVPair{key, value}, nil
	}
	err := fmt.Errorf("%w: %s", ErrNoKey, key)
	if s.prefix != "/" {
		err = fmt.Errorf("%w (%s in etcd)", err, path.Join(s.prefix, key))
	}
	return KVPair{}, err
}

// getv takes the default for a key that is missing, not for an empty value.
func (s *store) getv(key string, defaults ...string) (string, error) {
	if value, ok := s.find(key); ok {
		return value, nil
	}
	if len(defaults) > 0 {
		return defaults[0], nil
	}
	p, err := s.get(key)
	return p.Value, err
}

// gets matches the pattern with whole keys: "*" does not cross a slash. No
// match is no error, and in an empty store a bad pattern is none either.
func (s *store) gets(pattern string) (KVPairs, error) {
	found := KVPairs{}
	if _, err := path.Match(pattern, ""); err != nil {
		for range s.below("/") {
			return nil, fmt.Errorf("%w: %q", err, pattern)
		}
		return found, nil
	}
	literal := pattern
	if i := strings.IndexAny(pattern, `*?[\`); i >= 0 {
		literal = pattern[:i]
	}
	dir := "/"
	if i := strings.LastIndexByte(literal, '/'); i > 0 {
		dir = path.Clean(literal[:i])
	}
	for key, value := range s.below(dir) {
		if !strings.HasPrefix(key, literal) {
			if key > literal {
				break
			}
			continue
		}
		ok, err := path.Match(pattern, key)
		if err != nil {
			return nil, fmt.Errorf("%w: %q", err, pattern)
		}
		if ok {
			found = append(found, KVPair{key, value})
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
	for key := range s.below(clean) {
		if key == dir || !isBelow(key, clean) || clean == "/" && path.Dir(key) != "/" {
			continue
		}
		// As written, not cleaned: of "/a//b" confd lists "a".
		rest := strings.TrimPrefix(strings.TrimPrefix(key, dir), "/")
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
	for key := range s.below(clean) {
		if !isBelow(key, clean) {
			continue
		}
		rest := key[len(clean)+1:]
		if strings.HasPrefix(key, dir) && strings.Contains(rest, "/") {
			names = appendNew(names, rest)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func isBelow(key, dir string) bool {
	return dir == "/" || len(key) > len(dir) && key[len(dir)] == '/' && strings.HasPrefix(key, dir)
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

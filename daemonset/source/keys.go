package source

import (
	"path"
	"slices"
	"strings"
)

// normalize returns the keys as absolute, clean paths, sorted, without those
// that another one covers already.
func normalize(keys []string) []string {
	set := make(map[string]bool, len(keys))
	for _, k := range keys {
		set[path.Clean("/"+k)] = true
	}
	out := make([]string, 0, len(set))
	for k := range set {
		if !covered(set, k) {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}

// covered reports whether a true parent of key is in set.
func covered(set map[string]bool, key string) bool {
	for key != "/" {
		key = path.Dir(key)
		if set[key] {
			return true
		}
	}
	return false
}

// below is the prefix that everything below key begins with.
func below(key string) string {
	if key == "/" {
		return "/"
	}
	return key + "/"
}

// covers reports whether key names name itself or something above it.
func covers(key, name string) bool {
	return name == key || strings.HasPrefix(name, below(key))
}

// span is one range as etcd takes it: the single key from, or [from, to).
type span struct{ from, to string }

// spans splits keys into the ranges that hold exactly what they mean. One range
// from key to key+"0" ('0' follows '/') would do with a filter, but it would
// also fetch siblings such as key+"-old".
func spans(keys []string) []span {
	out := make([]span, 0, 2*len(keys))
	for _, k := range keys {
		if k != "/" {
			out = append(out, span{from: k})
		}
		out = append(out, span{from: below(k), to: after(k)})
	}
	return out
}

// hull is the one range from the first to the last of what keys mean, with all
// that lies between them.
func hull(keys []string) []span {
	if len(keys) == 0 {
		return nil
	}
	out := span{from: keys[0], to: after(keys[0])}
	for _, k := range keys[1:] {
		out.from, out.to = min(out.from, k), max(out.to, after(k))
	}
	return []span{out}
}

// after is the first key behind everything below key.
func after(key string) string {
	b := below(key)
	return b[:len(b)-1] + "0"
}

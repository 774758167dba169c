package template

import "iter"

// Parts are what a profile's resources were rendered to, where that depended on keys alone, and on
// which: as long as none of these changes, the same comes out. The zero value has none. They do
// not change and may be used by many goroutines.
type Parts struct {
	parts []part // as the resources; those that cannot be used again are empty
	plain bool   // KV's answer: it says where names are looked for
}

// part is one rendered file.
type part struct {
	data  []byte
	reads *reads // nil: none
}

// For are the parts that still hold for kv, which differs in the keys changed from what
// they were rendered of.
func (p Parts) For(kv KV, changed []string) Parts {
	if p.parts == nil || kv.Plain() != p.plain {
		return Parts{}
	}
	left := Parts{parts: make([]part, len(p.parts)), plain: p.plain}
	for i, part := range p.parts {
		if part.reads != nil && !part.reads.any(changed) {
			left.parts[i] = part
		}
	}
	return left
}

// Len is of how many files there is a part.
func (p Parts) Len() (n int) {
	for i := range p.parts {
		if _, ok := p.of(i); ok {
			n++
		}
	}
	return n
}

// of is the part of a resource, and whether there is one.
func (p Parts) of(i int) (part, bool) {
	if i >= len(p.parts) || p.parts[i].reads == nil {
		return part{}, false
	}
	return p.parts[i], true
}

// maxReads bounds what is noted of what a resource reads, in keys and prefixes. With more it is
// rendered again at each change, which is what it will have to be.
const maxReads = 1024

// reads is a KV that notes what it is asked for.
type reads struct {
	kv       KV // nil when the render is over
	keys     map[string]bool
	prefixes map[string]bool
	many     bool
}

func newReads(kv KV) *reads {
	return &reads{kv: kv, keys: map[string]bool{}, prefixes: map[string]bool{}}
}

func (r *reads) note(in map[string]bool, what string) {
	if in[what] || r.many {
		return
	}
	if len(r.keys)+len(r.prefixes) == maxReads {
		r.keys, r.prefixes, r.many = nil, nil, true
		return
	}
	in[what] = true
}

// Get is that of [KV].
func (r *reads) Get(key string) (string, bool) {
	r.note(r.keys, key)
	return r.kv.Get(key)
}

// Range is that of [KV]. However far it is walked, all of it is taken as read.
func (r *reads) Range(prefix string) iter.Seq2[string, string] {
	r.note(r.prefixes, prefix)
	return r.kv.Range(prefix)
}

// Plain is that of [KV].
func (r *reads) Plain() bool { return r.kv.Plain() }

// any says whether one of the keys is among what was read.
func (r *reads) any(changed []string) bool {
	if r.many {
		return len(changed) > 0
	}
	for _, key := range changed {
		if r.keys[key] {
			return true
		}
		for prefix := range r.prefixes {
			if key == prefix || isBelow(key, prefix) {
				return true
			}
		}
	}
	return false
}

// part is what a render came to, if it can be used again.
func (r *reads) part(data []byte, asked Asked) part {
	if asked != (Asked{}) || r.many {
		return part{}
	}
	r.kv = nil
	return part{data, r}
}

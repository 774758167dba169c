package template

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
)

// sum is the identity of what a profile was read from: its files of conf.d, their
// templates, and what those may include.
func (g *members) sum(p *Profile, l *library) string {
	h := sha256.New()
	for _, f := range g.files {
		io.WriteString(h, f.name)
		h.Write(f.sum[:])
		if f.resource != nil {
			l.sum(h, f.resource.Src)
		}
	}
	fmt.Fprint(h, p.Err) // a clash with a file of another profile, for one
	return hex.EncodeToString(h.Sum(nil))
}

// sum writes what a render of the template can print. Errors count too: a file that
// comes to be there changes what includes it.
func (l *library) sum(w io.Writer, name string) {
	seen := map[string]bool{name: true}
	for queue := []string{name}; len(queue) > 0; queue = queue[1:] {
		f := l.files[queue[0]]
		if f == nil {
			continue
		}
		fmt.Fprint(w, f.name, f.err)
		w.Write(f.sum[:])
		next := make([]string, 0, len(f.includes))
		for _, in := range f.includes {
			if name, err := cleanInclude(in.name); err == nil {
				next = append(next, name)
			}
		}
		if f.dynamic {
			next = sortedKeys(l.files)
		}
		for _, name := range next {
			if !seen[name] {
				seen[name] = true
				queue = append(queue, name)
			}
		}
	}
}

// Keep takes the profiles that are as they were from the configuration of before, so
// that who compares pointers knows what has changed. It answers whether anything
// has.
func (c *Config) Keep(before *Config) (changed bool) {
	changed = len(c.Profiles) != len(before.Profiles) || fmt.Sprint(c.Problems) != fmt.Sprint(before.Problems)
	for i, p := range c.Profiles {
		old, ok := before.Profile(p.Name)
		if ok && old.sum == p.sum && (old.Unread == nil || fmt.Sprint(old.Unread) == fmt.Sprint(p.Unread)) {
			c.Profiles[i] = old
			continue
		}
		changed = true
	}
	return changed
}

package template

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
)

// sum is the identity of what a profile was read from: its files of conf.d, their
// templates, and what those may include. Errors count too: a file that comes to be
// there changes what includes it.
func (g *members) sum(p *Profile, l *library) string {
	h := sha256.New()
	for _, f := range g.files {
		io.WriteString(h, f.name)
		h.Write(f.sum[:])
		reached := f.reached
		if slices.ContainsFunc(reached, func(t *templateFile) bool { return t.dynamic }) {
			reached = l.all()
		}
		for _, t := range reached {
			fmt.Fprint(h, t.name, t.err)
			h.Write(t.sum[:])
		}
	}
	fmt.Fprint(h, p.Err) // a clash with a file of another profile, for one
	return hex.EncodeToString(h.Sum(nil))
}

// all are the templates that were loaded, by name.
func (l *library) all() (files []*templateFile) {
	for _, name := range sortedKeys(l.files) {
		files = append(files, l.files[name])
	}
	return files
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

package template

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// Config is what a confdir says: every profile, the bad ones too.
type Config struct {
	Profiles []*Profile // by name
	Problems []Problem  // by file and line
	Notes    []Problem  // what means something else to confd, by file and line; all are warnings

	// Unread is set where a part of conf.d could not be read: what is missing here may be
	// in it.
	Unread error
}

// Load reads <confdir>/conf.d and <confdir>/templates. What is wrong with one
// file stops its profile and no other: it is in Problems, and the profile is
// there with Err set. An error means that confdir itself cannot be read.
//
// Symbolic links are followed as long as they stay in confdir, so that a
// mounted ConfigMap works.
func Load(confdir string) (*Config, error) {
	root, err := os.OpenRoot(confdir)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w; make the folder or name another with --confdir", err)
	}
	defer root.Close()

	names, problems := findResources(root)
	library := newLibrary(root)
	files := make([]*file, 0, len(names))
	for _, name := range names {
		files = append(files, loadFile(library, name))
	}
	library.root = nil
	c := &Config{Problems: problems, Unread: unread(problems, files)}
	groups := group(files)
	for _, g := range groups {
		profile, problems := g.profile()
		profile.Unread = c.Unread
		c.Notes = append(c.Notes, g.notes(profile)...)
		profile.sum = g.sum(profile, library)
		c.Profiles = append(c.Profiles, profile)
		c.Problems = append(c.Problems, problems...)
	}
	for _, f := range files {
		c.Problems = append(c.Problems, f.problems...)
	}
	slices.SortFunc(c.Profiles, func(a, b *Profile) int { return strings.Compare(a.Name, b.Name) })
	c.Notes = append(c.Notes, apart(groups)...)
	for _, t := range library.files {
		c.Notes = append(c.Notes, t.notes...)
	}
	slices.SortStableFunc(c.Problems, byPlace)
	slices.SortStableFunc(c.Notes, byPlace)
	return c, nil
}

// unread is the first of what could not be read of conf.d, or not so that one could tell
// the profile that it is of.
func unread(walked []Problem, files []*file) error {
	if len(walked) > 0 {
		return walked[0]
	}
	for _, f := range files {
		if f.keys == nil || f.doc.Template == nil && f.doc.Profile == nil {
			if err := firstError(f.problems); err != nil {
				return err
			}
		}
	}
	return nil
}

// Homeless are the errors that are no profile's: what could not be read there may be a profile that is
// missing here.
func (c *Config) Homeless() (errs []string) {
	for _, p := range c.Problems {
		if p.Profile == "" && !p.Warning {
			errs = append(errs, p.String())
		}
	}
	return errs
}

// Profile finds a profile by name.
func (c *Config) Profile(name string) (*Profile, bool) {
	i, ok := slices.BinarySearchFunc(c.Profiles, name, func(p *Profile, name string) int {
		return strings.Compare(p.Name, name)
	})
	if !ok {
		return nil, false
	}
	return c.Profiles[i], true
}

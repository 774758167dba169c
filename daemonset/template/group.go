package template

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// members are the files of one profile on their way to become it.
type members struct {
	name     string
	files    []*file
	problems []Problem // with the profile, not with one of its files
}

// group sorts files into profiles. A file that another one gathers leaves the
// profile it would have by its place.
func group(files []*file) []*members {
	byID := make(map[string]*file, len(files))
	for _, f := range files {
		byID[strings.TrimSuffix(f.id(), ".toml")] = f
	}
	groups := map[string]*members{}
	of := func(name string) *members {
		if groups[name] == nil {
			groups[name] = &members{name: name}
		}
		return groups[name]
	}
	for _, f := range files {
		if f.doc.Profile != nil && f.doc.Profile.Resources != nil {
			g := of(f.profileName())
			g.files = append(g.files, f)
			g.gather(f, byID)
		}
	}
	for _, f := range files {
		if !f.gathered && (f.doc.Profile == nil || f.doc.Profile.Resources == nil) {
			g := of(f.profileName())
			g.files = append(g.files, f)
		}
	}
	all := make([]*members, 0, len(groups))
	for _, name := range sortedKeys(groups) {
		all = append(all, groups[name])
	}
	return all
}

// gather adds the plain resources that a file names in its `resources`.
func (g *members) gather(f *file, byID map[string]*file) {
	fail := func(format string, args ...any) {
		g.problems = append(g.problems, f.problem("profile.resources", format, args...))
	}
	if f.doc.Template != nil {
		fail("resources stands in a file with [template]; write it in a file of its own")
		return
	}
	for _, id := range f.doc.Profile.Resources {
		r, ok := byID[strings.TrimSuffix(id, ".toml")]
		switch {
		case !ok:
			fail("resources: no conf.d/%s.toml%s", strings.TrimSuffix(id, ".toml"), didYouMean(id, sortedKeys(byID)))
		case r.doc.Profile != nil:
			fail("resources: %s has a [profile] of its own", r.name)
		default:
			r.gathered = true
			g.files = append(g.files, r)
		}
	}
}

// profile makes the profile of its files. The problems returned are those with
// the profile as a whole; each file keeps its own.
func (g *members) profile() (*Profile, []Problem) {
	p := &Profile{Name: g.name}
	g.settings(p)
	g.resources(p)
	if errs := validation.IsValidLabelValue(p.Name); len(errs) > 0 || p.Name == "" {
		f := g.files[0]
		bad := f.problem("profile.name", "profile name %q is no label value, so no pod can choose it; name it in [profile]", p.Name)
		bad.Warning = f.doc.Profile == nil || f.doc.Profile.Name == nil
		g.problems = append(g.problems, bad)
	}
	all := g.problems
	for i := range g.problems {
		g.problems[i].Profile = p.Name
	}
	for _, f := range g.files {
		for i := range f.problems {
			f.problems[i].Profile = p.Name
		}
		all = append(all, f.problems...)
	}
	p.Err = firstError(all)
	return p, g.problems
}

// settings merges the [profile] tables of the files.
func (g *members) settings(p *Profile) {
	var table profileTable
	origin := map[string]*file{} // who said it, by key
	for _, f := range g.files {
		if f.doc.Profile == nil {
			continue
		}
		differ := table.merge(f.doc.Profile, func(key string) { origin[key] = f })
		for _, key := range differ {
			g.problems = append(g.problems, f.problem("profile."+key,
				"%s differs from that in %s; the files of one profile must agree", key, origin[key].name))
		}
	}
	table.fill(p, func(key, format string, args ...any) {
		whole, _, _ := strings.Cut(key, ".") // a key of process, for one
		g.problems = append(g.problems, origin[whole].problem("profile."+key, format, args...))
	})
}

// resources collects the resources of the files.
func (g *members) resources(p *Profile) {
	dests := map[string]*file{}
	for _, f := range g.files {
		r := f.resource
		if r == nil {
			continue
		}
		if other, ok := dests[r.Dest]; ok {
			g.problems = append(g.problems, f.problem("template.dest", "dest %s is that of %s too", r.Dest, other.name))
		}
		dests[r.Dest] = f
		if r.Sensitive && p.Namespaces == nil {
			g.problems = append(g.problems, f.problem("template.sensitive",
				"a sensitive resource needs namespaces in [profile]: which may have it?"))
		}
		p.Resources = append(p.Resources, r)
	}
	if len(p.Resources) == 0 && len(g.problems) == 0 && firstError(g.files[0].problems) == nil {
		g.problems = append(g.problems, Problem{File: g.files[0].name, Message: fmt.Sprintf("profile %s has no resources", p.Name)})
	}
}

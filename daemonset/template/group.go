package template

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
)

// members are the files of one profile on their way to become it.
type members struct {
	name     string
	files    []*file
	problems []Problem // with the profile, not with one of its files
	waits    bool      // one of the files says how long to wait
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
	for i, id := range f.doc.Profile.Resources {
		id = strings.TrimSuffix(strings.Trim(strings.TrimPrefix(id, "conf.d/"), "/"), ".toml")
		r, ok := byID[id]
		switch {
		case !ok:
			fail("resources: no conf.d/%s.toml%s", id, hintResource(id, sortedKeys(byID)))
		case r.doc.Profile != nil:
			fail("resources: %s has a [profile] of its own", r.name)
		case slices.Contains(g.files, r):
			fail("resources: %q is the second that names %s", f.doc.Profile.Resources[i], r.name)
		default:
			r.gathered = true
			g.files = append(g.files, r)
		}
	}
}

// hintResource says what may have been meant by the name of a resource that is
// not there: those in a folder of that name, or in another folder.
func hintResource(id string, known []string) string {
	var near []string
	for _, k := range known {
		if strings.HasPrefix(k, id+"/") || strings.HasSuffix(k, "/"+id) {
			near = append(near, k)
		}
	}
	const enough = 5
	switch {
	case len(near) > enough:
		return fmt.Sprintf(`; did you mean "%s" or one of %d more?`, strings.Join(near[:enough], `", "`), len(near)-enough)
	case len(near) > 0:
		return fmt.Sprintf(`; did you mean "%s"?`, strings.Join(near, `", "`))
	}
	return didYouMean(id, known)
}

// profile makes the profile of its files. The problems returned are those with
// the profile as a whole; each file keeps its own.
func (g *members) profile() (*Profile, []Problem) {
	p := &Profile{Name: g.name}
	g.settings(p)
	g.resources(p)
	f := g.files[0]
	named := f.doc.Profile != nil && f.doc.Profile.Name != nil
	if !choosable(p.Name) && (named || p.Selector == nil) {
		bad := f.problem("profile.name", "profile name %q is no label value, so no pod can choose it; name it in [profile]", p.Name)
		bad.Warning = !named
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

// choosable says whether a pod's label can name a profile.
func choosable(name string) bool {
	return name != "" && len(validation.IsValidLabelValue(name)) == 0
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
	g.waits = table.Wait != nil
	table.fill(p, func(key, format string, args ...any) {
		whole, _, _ := strings.Cut(key, ".") // a key of process, for one
		g.problems = append(g.problems, origin[whole].problem("profile."+key, format, args...))
	})
}

// resources collects the resources of the files, and what they say of the
// profile as a whole.
func (g *members) resources(p *Profile) {
	dests := map[string]*file{}
	var debounce time.Duration
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
		if r.usesPod(false) && p.Namespaces == nil {
			key := "keys"
			if r.pod.prefix.usesPod() {
				key = "prefix"
			}
			g.problems = append(g.problems, f.problem("template."+key,
				"%s takes from the pod what is read from etcd, which needs namespaces in [profile]: whose pods may say so?", key))
		}
		p.MinReloadInterval = max(p.MinReloadInterval, r.MinReloadInterval)
		debounce = max(debounce, r.Debounce)
		p.Resources = append(p.Resources, r)
	}
	if !g.waits {
		p.Wait, p.WaitMax = debounce, defaultCeiling(debounce)
	}
	if len(p.Resources) == 0 && len(g.problems) == 0 && firstError(g.files[0].problems) == nil {
		g.problems = append(g.problems, Problem{File: g.files[0].name, Message: fmt.Sprintf("profile %s has no resources", p.Name)})
	}
	if !p.UsesPod() {
		p.bound = &Bound{Profile: p, Resources: p.Resources, id: p.Name}
	}
}

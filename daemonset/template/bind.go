package template

import (
	"fmt"
	"slices"
	"strings"
)

// Bound is a profile for one pod: its keys and paths are written out. A profile
// that takes none of them from the pod has one Bound for all pods.
type Bound struct {
	Profile   *Profile
	Resources []*Resource // as the profile's, with Prefix, Keys and Dest written out

	id string
}

// ID is equal for two that read the same keys into the same files, so that their
// targets can share a feed and, if the render asked the target nothing, its
// result.
func (b *Bound) ID() string { return b.id }

// UsesPod says whether prefix, keys or dest of a resource depend on the pod.
func (p *Profile) UsesPod() bool {
	return slices.ContainsFunc(p.Resources, func(r *Resource) bool { return r.usesPod(true) })
}

// KeysUsePod says whether prefix or keys do: then each pod may read keys of its
// own.
func (p *Profile) KeysUsePod() bool {
	return slices.ContainsFunc(p.Resources, func(r *Resource) bool { return r.usesPod(false) })
}

// BindError says what a pod lacks, or has and may not, for a profile that takes
// keys or paths from it. It is mended by another pod or another profile, not by
// time: the runtime keeps a pod's labels as they were when it was created.
type BindError struct {
	Profile, Resource string
	Key               string // of the resource: prefix, keys or dest
	Err               error
}

func (e *BindError) Error() string {
	return fmt.Sprintf("profile %s, resource %s: %s: %v", e.Profile, e.Resource, e.Key, e.Err)
}

func (e *BindError) Unwrap() error { return e.Err }

// Bind writes out what the profile takes from the pod. An error is the profile's
// own, or a [BindError].
func (p *Profile) Bind(facts Facts) (*Bound, error) {
	if p.Err != nil {
		return nil, p.Err
	}
	if p.bound != nil {
		return p.bound, nil
	}
	b := &Bound{Profile: p}
	id := []string{p.Name}
	dests := map[string]string{}
	for _, r := range p.Resources {
		bound, key, err := r.bind(&facts)
		if err == nil && dests[bound.Dest] != "" {
			key, err = "dest", fmt.Errorf("%s is that of %s too, for this pod", bound.Dest, dests[bound.Dest])
		}
		if err != nil {
			return nil, &BindError{Profile: p.Name, Resource: r.Name, Key: key, Err: err}
		}
		dests[bound.Dest] = r.Name
		b.Resources = append(b.Resources, bound)
		id = append(id, bound.Dest, bound.Prefix, strings.Join(bound.Keys, "\x01"))
	}
	b.id = strings.Join(id, "\x00")
	return b, nil
}

// Keys are the absolute etcd keys to read, sorted and unique. Each means that
// key and everything below it.
func (b *Bound) Keys() []string { return keysOfAll(b.Resources) }

// Keys are the keys that the profile reads as it has them: where it takes them
// from the pod they are templates still, and [Bound.Keys] has the real ones.
func (p *Profile) Keys() []string { return keysOfAll(p.Resources) }

func keysOfAll(resources []*Resource) []string {
	var keys []string
	for _, r := range resources {
		keys = append(keys, r.absoluteKeys()...)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// podTexts are the values of a resource that take something from the pod. All
// are nil when none does.
type podTexts struct {
	prefix, dest podText
	keys         []podText
}

func (t *templateTable) podTexts(fail report) (texts podTexts) {
	parse := func(key, text string) podText {
		parsed, err := parsePodText(text)
		if err != nil {
			fail(key, "%s: %v", key, err)
		}
		return parsed
	}
	texts.prefix, texts.dest = parse("prefix", t.Prefix), parse("dest", t.Dest)
	for _, key := range t.Keys {
		texts.keys = append(texts.keys, parse("keys", key))
	}
	return texts
}

// usesPod says whether prefix or keys, or with dest also that, use the pod.
func (r *Resource) usesPod(dest bool) bool {
	return r.pod.prefix.usesPod() || slices.ContainsFunc(r.pod.keys, podText.usesPod) || dest && r.pod.dest.usesPod()
}

// bind is the resource for one pod. Of an error it says which key is wrong.
func (r *Resource) bind(facts *Facts) (bound *Resource, key string, err error) {
	if !r.usesPod(true) {
		return r, "", nil
	}
	b := *r
	b.pod = podTexts{}
	if b.Prefix, err = r.pod.prefix.resolve(facts); err != nil {
		return nil, "prefix", err
	}
	b.Prefix = rooted(b.Prefix)
	b.Keys = make([]string, len(r.pod.keys))
	for i, k := range r.pod.keys {
		if b.Keys[i], err = k.resolve(facts); err != nil {
			return nil, "keys", err
		}
	}
	dest, err := r.pod.dest.resolve(facts)
	if err != nil {
		return nil, "dest", err
	}
	if b.Dest, err = cleanDest(dest); err != nil {
		return nil, "dest", err
	}
	return &b, "", nil
}

func rooted(prefix string) string {
	if strings.HasPrefix(prefix, "/") {
		return prefix
	}
	return "/" + prefix
}

package template

import (
	"fmt"
	"math"
	"path"
	"reflect"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/podreload/podreload/daemonset"
)

// The words for `check`.
const (
	CheckPreset     = "preset"      // every new configuration is tried first
	CheckIfPossible = "if-possible" // where it cannot be tried it is applied untried
	CheckOff        = "off"
)

// Profile is template resources that are applied together, checked once and
// reloaded once.
type Profile struct {
	Name       string
	Select     string             // label selector as written
	Selector   labels.Selector    // nil when Select is unset
	Namespaces []string           // patterns of path.Match; nil is every namespace
	Process    string             // preset; empty without one
	Matcher    *daemonset.Matcher // instead of a preset; without both nothing is signalled but by a resource
	Container  string
	Check      string // CheckPreset, CheckIfPossible or CheckOff

	Wait, WaitMax     time.Duration // quiet period, longest delay
	Splay             time.Duration // over which the nodes spread a change
	MinReloadInterval time.Duration // the longest of its resources'
	Signals           []string      // short names that a pod may choose from
	AllowEmpty        bool
	MaxDraining       *int // old workers still draining at which the next reload is held back; nil: as the agent has it

	Resources []*Resource // in the order of their files, or as gathered

	// Unread is that of the [Config] that it was first in: a resource that it lacks may be in what
	// could not be read.
	Unread error

	sum string // of all that it was read from

	// Err says why the profile cannot be applied. The rest is then what could
	// be read.
	Err error

	bound *Bound // for every pod; nil when it depends on the pod
}

// profileTable is the [profile] table. All fields can be absent: the files of
// one profile may each say a part.
type profileTable struct {
	Name       *string  `toml:"name"`
	Select     *string  `toml:"select"`
	Namespaces []string `toml:"namespaces"`
	Process    any      `toml:"process"` // a string, or the table of a matcher
	Container  *string  `toml:"container"`
	Check      *string  `toml:"check"`
	Wait       *string  `toml:"wait"`
	Splay      *string  `toml:"splay"`
	Signals    []string `toml:"signals"`
	AllowEmpty *bool    `toml:"allow_empty"`
	Draining   *int64   `toml:"max_draining"`
	Resources  []string `toml:"resources"`
}

// merge fills the fields that t lacks from other and calls set for each. It
// returns the keys on which the two disagree.
func (t *profileTable) merge(other *profileTable, set func(key string)) (differ []string) {
	mine, its := reflect.ValueOf(t).Elem(), reflect.ValueOf(other).Elem()
	for i := range mine.NumField() {
		key := mine.Type().Field(i).Tag.Get("toml")
		a, b := mine.Field(i), its.Field(i)
		switch {
		case b.IsNil():
		case a.IsNil():
			a.Set(b)
			set(key)
		case !reflect.DeepEqual(a.Interface(), b.Interface()):
			differ = append(differ, key)
		}
	}
	return differ
}

// fill sets the profile's fields from the table. What is wrong goes to fail.
func (t *profileTable) fill(p *Profile, fail report) {
	if t.Select != nil {
		p.Select = *t.Select
		selector, err := labels.Parse(p.Select)
		if err != nil {
			fail("select", "select %q is no label selector: %v", p.Select, err)
		} else if selector.Empty() {
			fail("select", "select is empty and would choose every pod; leave it out, or name a label")
		} else {
			p.Selector = selector
		}
	}
	p.Namespaces = t.Namespaces
	if t.Namespaces != nil && len(t.Namespaces) == 0 {
		fail("namespaces", "namespaces is empty; leave it out for all, or name some")
	}
	for _, pattern := range t.Namespaces {
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
			fail("namespaces", "namespaces: %q is no pattern", pattern)
		}
	}
	if t.Process != nil {
		p.setProcess(t.Process, fail)
	}
	p.setCheck(t.Check, fail)
	if t.Container != nil {
		p.Container = *t.Container
		if errs := validation.IsDNS1123Label(p.Container); len(errs) > 0 {
			fail("container", "container %q is no container's name: %s", p.Container, errs[0])
		}
	}
	if t.Wait != nil {
		var err error
		if p.Wait, p.WaitMax, err = parseWait(*t.Wait); err != nil {
			fail("wait", "%v", err)
		}
	}
	if t.Splay != nil {
		var err error
		if p.Splay, err = time.ParseDuration(*t.Splay); err != nil || p.Splay < 0 || p.Splay > maxDelay {
			fail("splay", "splay %q is no time from \"0s\" to \"%v\", such as \"30s\"", *t.Splay, maxDelay)
		}
	}
	for _, s := range t.Signals {
		name, err := parseSignal(s)
		if err != nil {
			fail("signals", "%v", err)
			continue
		}
		p.Signals = append(p.Signals, name)
	}
	if t.AllowEmpty != nil {
		p.AllowEmpty = *t.AllowEmpty
	}
	if t.Draining != nil {
		n := int(min(*t.Draining, math.MaxInt32))
		if p.MaxDraining = &n; n < 1 {
			fail("max_draining", "max_draining %d would hold back every reload; it begins at 1", *t.Draining)
		}
	}
}

func (p *Profile) setCheck(check *string, fail report) {
	p.Check = CheckPreset
	if check == nil {
		return
	}
	words := []string{CheckPreset, CheckIfPossible, CheckOff}
	p.Check = *check
	switch {
	case !slices.Contains(words, p.Check):
		fail("check", "check %q is none of \"%s\"%s", p.Check, strings.Join(words, "\", \""), didYouMean(p.Check, words))
	case p.Check != CheckPreset && slices.Contains(checked, p.Process):
		fail("check", "check %q is not for process %q: it ends when it reloads a bad configuration, so each is tried first", p.Check, p.Process)
	}
}

// defaultCeiling is the longest delay of a quiet period for which none is set.
func defaultCeiling(quiet time.Duration) time.Duration { return 4 * quiet }

// parseWait reads "quiet period:longest delay". Without the second it is four
// times the first, as consul-template has it.
func parseWait(wait string) (quiet, longest time.Duration, err error) {
	const limit = maxDelay
	first, second, both := strings.Cut(wait, ":")
	quiet, err = time.ParseDuration(strings.TrimSpace(first))
	if err == nil && both {
		longest, err = time.ParseDuration(strings.TrimSpace(second))
	}
	if err != nil {
		return 0, 0, fmt.Errorf("wait %q is not of the form \"2s\" or \"2s:10s\"", wait)
	}
	if !both {
		longest = defaultCeiling(min(quiet, limit))
	}
	if quiet < 0 || longest < quiet || quiet > limit || both && longest > limit {
		return 0, 0, fmt.Errorf("wait %q: the longest delay must not be less than the quiet period, nor either negative or over %v", wait, limit)
	}
	return quiet, longest, nil
}

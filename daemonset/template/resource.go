package template

import (
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	texttemplate "text/template"
	"time"
)

// Resource is one template resource: confd's word for one TOML file and the
// one file that is rendered by it.
type Resource struct {
	Name   string   // its path below conf.d
	Src    string   // the template, its path below templates
	Dest   string   // absolute, as the container sees it
	Prefix string   // begins with "/"; templates see keys without it
	Keys   []string // below the prefix, as written; none is no error

	// Nil or empty where the resource does not say. Owner and Group are names,
	// to be looked up as the container knows them; UID and GID come before them.
	Mode         *fs.FileMode
	UID, GID     *uint32
	Owner, Group string

	OutputFormat string // json, toml, xml or yaml: what is rendered has to parse; empty: anything

	CheckCmd     string // as written; see CheckCommand
	ReloadCmd    string // as written; see ReloadCommand
	ReloadSignal string // a short name such as HUP, or empty

	// Zero where the resource does not say.
	CheckTimeout      time.Duration
	ReloadTimeout     time.Duration
	MinReloadInterval time.Duration
	Debounce          time.Duration // a quiet period

	Mkdir     bool // make missing parent directories
	Sensitive bool // never shown: not in errors either
	Remove    bool // delete dest when the resource goes

	tmpl    *texttemplate.Template
	library *library // for include
	pod     podTexts // what of Prefix, Keys and Dest depends on the pod
	limits  limits
	size    *atomic.Int64 // about what it was rendered to last; nil: not known
}

// templateTable is the [template] table of a resource.
type templateTable struct {
	Src          string   `toml:"src"`
	Dest         string   `toml:"dest"`
	Prefix       string   `toml:"prefix"`
	Keys         []string `toml:"keys"`
	Mode         string   `toml:"mode"`
	UID          *int64   `toml:"uid"`
	GID          *int64   `toml:"gid"`
	Owner        string   `toml:"owner"`
	Group        string   `toml:"group"`
	CheckCmd     string   `toml:"check_cmd"`
	ReloadCmd    string   `toml:"reload_cmd"`
	ReloadSignal string   `toml:"reload_signal"`
	Mkdir        bool     `toml:"mkdir"`
	Sensitive    bool     `toml:"sensitive"`
	Remove       bool     `toml:"remove"`

	// What confd's fork added, besides owner and group.
	OutputFormat      string `toml:"output_format"`
	MinReloadInterval string `toml:"min_reload_interval"`
	Debounce          string `toml:"debounce"`
	CheckTimeout      string `toml:"check_cmd_timeout"`
	ReloadTimeout     string `toml:"reload_cmd_timeout"`
}

// report takes a problem with the value of one key.
type report func(key, format string, args ...any)

// resource is the table as a value. What is wrong with it goes to fail, what is
// only worth saying to warn; the result is complete but for what failed.
func (t *templateTable) resource(name string, fail, warn report) *Resource {
	r := &Resource{
		Name: name, Src: t.Src, Dest: t.Dest, Prefix: rooted(t.Prefix), Keys: t.Keys,
		Owner: t.Owner, Group: t.Group, CheckCmd: t.CheckCmd, ReloadCmd: t.ReloadCmd,
		Mkdir: t.Mkdir, Sensitive: t.Sensitive, Remove: t.Remove,
		limits: defaultLimits, size: new(atomic.Int64),
	}
	var err error
	if r.Src, err = cleanSrc(t.Src); err != nil {
		fail("src", "%v", err)
	}
	r.pod = t.podTexts(fail)
	switch dest, err := cleanDest(r.pod.dest.example()); {
	case r.pod.dest == nil: // said above
	case r.pod.dest.usesPod():
		if err != nil {
			fail("dest", "%v (%s is what the pod says)", err, podExample)
		}
	case err != nil:
		fail("dest", "%v", err)
	default:
		r.Dest = dest
	}
	if r.Mode, err = parseMode(t.Mode, warn); err != nil {
		fail("mode", "%v", err)
	}
	if r.UID, err = parseID(t.UID); err != nil {
		fail("uid", "%v", err)
	}
	if r.GID, err = parseID(t.GID); err != nil {
		fail("gid", "%v", err)
	}
	if t.ReloadSignal != "" {
		if r.ReloadSignal, err = parseSignal(t.ReloadSignal); err != nil {
			fail("reload_signal", "%v", err)
		}
		if t.ReloadCmd != "" {
			fail("reload_signal", "both reload_signal and reload_cmd are set; keep one")
		}
	}
	if _, err := r.CheckCommand(); err != nil {
		_, _, message := cutLocation("check_cmd", err.Error())
		fail("check_cmd", "check_cmd: %s", message)
	}
	if r.OutputFormat = strings.ToLower(t.OutputFormat); r.OutputFormat != "" && !slices.Contains(formats, r.OutputFormat) {
		fail("output_format", "output_format %q is none of %s%s", t.OutputFormat, strings.Join(formats, ", "), didYouMean(r.OutputFormat, formats))
	}
	t.durations(r, fail, warn)
	for key, name := range map[string]string{"owner": t.Owner, "group": t.Group} {
		if strings.ContainsAny(name, ":/\x00\n") || len(name) > maxAccount {
			fail(key, "%s %.80q is no name of a user or group", key, name)
		}
	}
	return r
}

// absoluteKeys are the keys with the prefix before them, joined as confd does.
func (r *Resource) absoluteKeys() []string {
	keys := make([]string, len(r.Keys))
	for i, k := range r.Keys {
		keys[i] = path.Join(r.Prefix, k)
	}
	return keys
}

package template

import (
	"fmt"
	"io/fs"
	"math"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	texttemplate "text/template"
)

// Resource is one template resource: confd's word for one TOML file and the
// one file that is rendered by it.
type Resource struct {
	Name   string   // its path below conf.d
	Src    string   // the template, its path below templates
	Dest   string   // absolute, as the container sees it
	Prefix string   // begins with "/"; templates see keys without it
	Keys   []string // below the prefix, as written

	// Nil where the resource does not say. Owner and Group are read but not
	// looked up in this version.
	Mode         *fs.FileMode
	UID, GID     *uint32
	Owner, Group string

	CheckCmd     string // as written; see CheckCommand
	ReloadCmd    string
	ReloadSignal string // a short name such as HUP, or empty

	Mkdir     bool // make missing parent directories
	Sensitive bool // never shown: not in errors either
	Remove    bool // delete dest when the resource goes

	tmpl   *texttemplate.Template
	limits limits
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
}

// report takes a problem with the value of one key.
type report func(key, format string, args ...any)

// resource is the table as a value. What is wrong with it goes to fail, what is
// only worth saying to warn; the result is complete but for what failed.
func (t *templateTable) resource(name string, fail, warn report) *Resource {
	r := &Resource{
		Name: name, Src: t.Src, Dest: t.Dest, Prefix: t.Prefix, Keys: t.Keys,
		Owner: t.Owner, Group: t.Group, CheckCmd: t.CheckCmd, ReloadCmd: t.ReloadCmd,
		Mkdir: t.Mkdir, Sensitive: t.Sensitive, Remove: t.Remove,
		limits: defaultLimits,
	}
	if !strings.HasPrefix(r.Prefix, "/") {
		r.Prefix = "/" + r.Prefix
	}
	var err error
	if r.Src, err = cleanSrc(t.Src); err != nil {
		fail("src", "%v", err)
	}
	if err := checkDest(t.Dest); err != nil {
		fail("dest", "%v", err)
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
		_, _, message := cutLocation(checkCmdName, err.Error())
		fail("check_cmd", "check_cmd: %s", message)
	}
	t.refuseLater(fail, warn)
	return r
}

// refuseLater says which parts of the language this version has not yet.
func (t *templateTable) refuseLater(fail, warn report) {
	for _, v := range []struct{ key, value string }{
		{"dest", t.Dest}, {"prefix", t.Prefix}, {"keys", strings.Join(t.Keys, " ")},
	} {
		if strings.Contains(v.value, "{{") {
			fail(v.key, "%s is a template over the pod, which is not supported in this version; write the path out", v.key)
		}
	}
	for _, v := range []struct{ key, value, instead string }{
		{"owner", t.Owner, "uid"}, {"group", t.Group, "gid"},
	} {
		if v.value != "" {
			warn(v.key, "%s by name is not supported in this version and is ignored, as confd does; set %s", v.key, v.instead)
		}
	}
}

// absoluteKeys are the keys with the prefix before them, joined as confd does.
func (r *Resource) absoluteKeys() []string {
	keys := make([]string, len(r.Keys))
	for i, k := range r.Keys {
		keys[i] = path.Join(r.Prefix, k)
	}
	return keys
}

// cleanSrc is the template's path below templates. A leading slash means
// nothing, as in confd, which joins the two.
func cleanSrc(src string) (string, error) {
	if src == "" {
		return "", fmt.Errorf("src is missing: name a file below templates")
	}
	clean := path.Clean(strings.TrimLeft(src, "/"))
	if clean == "." || !filepath.IsLocal(clean) || strings.ContainsRune(clean, 0) {
		return "", fmt.Errorf("src %q is not below templates", src)
	}
	return clean, nil
}

func checkDest(dest string) error {
	const longest = 4095 // PATH_MAX less its NUL: path_resolution(7)
	switch {
	case dest == "":
		return fmt.Errorf("dest is missing: name the file in the container")
	case strings.Contains(dest, "{{"):
		return nil // refuseLater says more
	case !path.IsAbs(dest):
		return fmt.Errorf("dest %q is not absolute", dest)
	case dest == "/" || path.Clean(dest) != dest:
		return fmt.Errorf("dest %q is not the plain path of a file: no \"..\", no doubled or trailing slash", dest)
	case strings.ContainsRune(dest, 0) || len(dest) > longest:
		return fmt.Errorf("dest is no possible path")
	}
	return nil
}

// parseMode reads a mode as confd does: with Go's prefixes, so that only a
// leading 0 makes it octal, and with what chmod then leaves of it, which is
// the permission bits.
func parseMode(mode string, warn report) (*fs.FileMode, error) {
	if mode == "" {
		return nil, nil
	}
	n, err := strconv.ParseUint(mode, 0, 32)
	if err != nil {
		return nil, fmt.Errorf("mode %q is no number; write it as \"0644\"", mode)
	}
	m := fs.FileMode(n).Perm()
	if !strings.HasPrefix(mode, "0") {
		warn("mode", "mode %q is read as a decimal number, as confd does, and gives %#o; write \"0%s\"", mode, m, mode)
	} else if n != uint64(m) {
		warn("mode", "mode %q gives %#o: set-user-ID, set-group-ID and sticky are dropped, as confd does", mode, m)
	}
	return &m, nil
}

// parseID takes -1, which is how confd says unset, as unset too.
func parseID(id *int64) (*uint32, error) {
	if id == nil || *id == -1 {
		return nil, nil
	}
	// The largest value means "leave as it is" to chown(2).
	if *id < 0 || *id >= math.MaxUint32 {
		return nil, fmt.Errorf("%d is no user or group number", *id)
	}
	n := uint32(*id)
	return &n, nil
}

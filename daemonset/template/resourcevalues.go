package template

import (
	"fmt"
	"io/fs"
	"math"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of what a resource may say.
const (
	maxAccount = 256 // bytes of a user's or group's name
	maxTimeout = time.Hour
	maxDelay   = 24 * time.Hour
)

// durations reads the durations that confd's fork has. There 0 lets a command
// run for ever, which nothing does here.
func (t *templateTable) durations(r *Resource, fail, warn report) {
	for _, d := range []struct {
		key, text string
		max       time.Duration
		into      *time.Duration
	}{
		{"min_reload_interval", t.MinReloadInterval, maxDelay, &r.MinReloadInterval},
		{"debounce", t.Debounce, maxDelay, &r.Debounce},
		{"check_cmd_timeout", t.CheckTimeout, maxTimeout, &r.CheckTimeout},
		{"reload_cmd_timeout", t.ReloadTimeout, maxTimeout, &r.ReloadTimeout},
	} {
		if d.text == "" {
			continue
		}
		value, err := time.ParseDuration(d.text)
		switch {
		case err != nil || value < 0 || value > d.max:
			fail(d.key, "%s %q is no duration from 0s to %v, such as \"2s\"", d.key, d.text, d.max)
		case value == 0 && d.max == maxTimeout:
			warn(d.key, "%s of 0 is ignored: every command has a time limit here", d.key)
		default:
			*d.into = value
		}
	}
}

// cleanSrc is the template's path below templates. A leading slash means
// nothing, as in confd, which joins the two.
func cleanSrc(src string) (string, error) {
	if src == "" {
		return "", fmt.Errorf("src is missing: name a file below templates")
	}
	clean, ok := cleanPath(src)
	if !ok {
		return "", fmt.Errorf("src %q is not below templates", src)
	}
	return clean, nil
}

// cleanPath is a path below templates; false for one that leads out.
func cleanPath(name string) (string, bool) {
	clean := path.Clean(strings.TrimLeft(name, "/"))
	return clean, clean != "." && filepath.IsLocal(clean) && !strings.ContainsRune(clean, 0)
}

// cleanDest is the plain path that dest means. Doubled slashes and "." between mean
// nothing, as in confd, but one file is to have one name: it is compared with others.
func cleanDest(dest string) (string, error) {
	const longest = 4095 // PATH_MAX less its NUL: path_resolution(7)
	clean := path.Clean(dest)
	switch {
	case dest == "":
		return "", fmt.Errorf("dest is missing: name the file in the container")
	case !path.IsAbs(dest):
		return "", fmt.Errorf("dest %q is not absolute", dest)
	case strings.HasSuffix(dest, "/") || strings.HasSuffix(dest, "/.") || slices.Contains(strings.Split(dest, "/"), ".."):
		return "", fmt.Errorf("dest %q is not the plain path of a file: no \"..\", no \"/\" or \"/.\" at its end", dest)
	case strings.ContainsRune(dest, 0) || len(clean) > longest:
		return "", fmt.Errorf("dest is no possible path")
	}
	return clean, nil
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
		octal := "0" + mode
		if _, err := strconv.ParseUint(octal, 0, 32); err != nil {
			octal = "0644"
		}
		warn("mode", "mode %q is read as a decimal number, as confd does, and gives %#o; write %q", mode, m, octal)
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

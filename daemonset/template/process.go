package template

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/podreload/podreload/daemonset"
)

// presets are the words for `process`.
var presets = []string{"nginx", "haproxy", "apache"}

// checked are the presets whose server ends when it reloads a bad
// configuration: for them trying it first is no choice.
var checked = []string{"apache"}

// What a matcher may say.
var (
	matcherKeys = []string{"exe", "signal", "success", "after"}
	successes   = []string{daemonset.SuccessChildren, daemonset.SuccessAlive, daemonset.SuccessNone}
)

const (
	maxExes      = 16
	defaultAfter = 2 * time.Second
	minAfter     = time.Second
	maxAfter     = time.Minute
)

// setProcess reads `process`: the name of a preset, or a matcher.
func (p *Profile) setProcess(process any, fail report) {
	switch v := process.(type) {
	case string:
		p.Process = v
		if !slices.Contains(presets, v) {
			fail("process", "unknown process %q: the presets are %s%s", v, strings.Join(presets, ", "), didYouMean(v, presets))
		}
	case map[string]any:
		p.Matcher = matcher(v, fail)
	default:
		fail("process", "process is neither the name of a preset nor { exe = \"…\", signal = \"…\", success = \"…\" }")
	}
}

func matcher(table map[string]any, fail report) *daemonset.Matcher {
	for _, key := range sortedKeys(table) {
		if !slices.Contains(matcherKeys, key) {
			fail("process."+key, "unknown key %q in process%s", key, didYouMean(key, matcherKeys))
		}
	}
	m := &daemonset.Matcher{Exe: matcherExe(table["exe"], fail)}
	text := func(key, missing string) string {
		value, ok := table[key].(string)
		switch {
		case table[key] == nil:
			fail("process", "%s is missing in process: %s", key, missing)
		case !ok:
			fail("process."+key, "%s is no string", key)
		}
		return value
	}
	if signal := text("signal", "which one makes the server reload, such as HUP?"); signal != "" {
		var err error
		if m.Signal, err = parseSignal(signal); err != nil {
			fail("process.signal", "%v", err)
		}
	}
	known := "\"" + strings.Join(successes, "\", \"") + "\""
	m.Success = text("success", "one of "+known)
	if m.Success != "" && !slices.Contains(successes, m.Success) {
		fail("process.success", "success %q is none of %s%s", m.Success, known, didYouMean(m.Success, successes))
	}
	m.After = matcherAfter(table["after"], m.Success, fail)
	return m
}

func matcherExe(value any, fail report) []string {
	values, ok := value.([]any)
	if !ok {
		values = []any{value}
	}
	var names []string
	for _, v := range values {
		name, ok := v.(string)
		switch {
		case v == nil:
			fail("process", "exe is missing in process: name the server's executable")
		case !ok || name == "" || strings.ContainsAny(name, "/\x00"):
			fail("process.exe", "exe: %q is not the name of an executable without its folder", fmt.Sprint(v))
		default:
			names = append(names, name)
		}
	}
	if ok && len(values) == 0 || len(values) > maxExes {
		fail("process.exe", "exe names %d executables; 1 to %d can be", len(values), maxExes)
	}
	return names
}

func matcherAfter(value any, success string, fail report) time.Duration {
	switch {
	case success != daemonset.SuccessAlive && value != nil:
		fail("process.after", "after is for success = %q alone", daemonset.SuccessAlive)
		return 0
	case success != daemonset.SuccessAlive:
		return 0
	case value == nil:
		return defaultAfter
	}
	text, _ := value.(string)
	after, err := time.ParseDuration(text)
	if err != nil || after < minAfter || after > maxAfter {
		fail("process.after", "after %q is no duration from %v to %v, such as \"2s\"", fmt.Sprint(value), minAfter, maxAfter)
	}
	return after
}

package main

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSettingsAreTheFlags: a flag that the file cannot set, or a key that no
// flag knows, would be a surprise.
func TestSettingsAreTheFlags(t *testing.T) {
	flags, keys := flagNames(), []string{}
	for f := range reflect.TypeFor[fileSettings]().Fields() {
		keys = append(keys, f.Tag.Get("toml"))
	}
	slices.Sort(flags)
	slices.Sort(keys)
	if diff := cmp.Diff(flags, keys); diff != "" {
		t.Errorf("flags and keys differ (-flags +keys):\n%s", diff)
	}
}

// flagNames are the global flags but for --config, which names the file.
func flagNames() []string {
	var names []string
	for _, f := range newApp(nil, nil).Flags {
		if name := f.Names()[0]; name != "config" {
			names = append(names, name)
		}
	}
	return names
}

func TestParseSettings(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want map[string]string
		err  string
	}{
		"empty":     {text: "", want: map[string]string{}},
		"all kinds": {text: "confdir = \"/c\"\ndebug = false\nendpoints = [\"a:1\", \"b:2\"]", want: map[string]string{"confdir": "/c", "debug": "false", "endpoints": "a:1,b:2"}},
		"set empty": {text: `user = ""`, want: map[string]string{"user": ""}},
		"unknown":   {text: "debug = true\n  colour = 1", err: `line 2, column 3: unknown key "colour"; the keys are podreload's long flags`},
		"table":     {text: "[etcd]\nendpoints = []", err: `line 1, column 2: unknown key "etcd"`},
		"no TOML":   {text: "confdir: /c", err: "line 1, column 8: "},
		"wrong":     {text: "debug = \"yes\"", err: "line 1, column 9: "},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseSettings([]byte(test.text))
			if err != nil || test.err != "" {
				if err == nil || test.err == "" || !strings.HasPrefix(err.Error(), test.err) {
					t.Fatalf("error %v, want %q", err, test.err)
				}
				return
			}
			if diff := cmp.Diff(test.want, got.values()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzParseSettings(f *testing.F) {
	f.Add("confdir = \"/c\"\nendpoints = [\"a\"]\n")
	f.Add("[a.b]\nc = 1")
	f.Add("debug = maybe")
	f.Fuzz(func(t *testing.T, text string) {
		settings, err := parseSettings([]byte(text))
		if err != nil {
			return
		}
		for name := range settings.values() {
			if !slices.Contains(flagNames(), name) {
				t.Errorf("%q sets %q, which is no flag", text, name)
			}
		}
	})
}

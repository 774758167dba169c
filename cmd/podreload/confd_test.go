package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestConfdSettingsAreFlags: a setting is taken over into a flag that there is,
// or says what to do instead.
func TestConfdSettingsAreFlags(t *testing.T) {
	for _, s := range confdSettings {
		switch {
		case (s.flag == "") == (s.instead == ""):
			t.Errorf("%s is neither taken over nor explained, or both", s.key)
		case s.flag != "" && !slices.Contains(flagNames(), s.flag):
			t.Errorf("%s is to be --%s, which is no flag", s.key, s.flag)
		}
	}
}

func TestParseConfdFile(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want map[string]string
		err  string
	}{
		"empty":             {text: "", want: map[string]string{}},
		"all kinds":         {text: "nodes = [\"a:1\", \"b:2\"]\nwatch = true\ninterval = 60\nprefix = \"/p\"", want: map[string]string{"nodes": "a:1,b:2", "watch": "true", "interval": "60", "prefix": "/p"}},
		"the original":      {text: "sync-only = true\nlog-level = \"debug\"", want: map[string]string{"sync_only": "true", "log_level": "debug"}},
		"the fork":          {text: "sync_only = true\nlog-format = \"json\"", want: map[string]string{"sync_only": "true", "log_format": "json"}},
		"in any case":       {text: "Prefix = \"/p\"", want: map[string]string{"prefix": "/p"}},
		"of other stores":   {text: "auth_token = \"t\"\nfile = [\"x\"]\n[redis]\nx = 1", want: map[string]string{}},
		"no TOML":           {text: "watch = true\nprefix: /p", err: "line 2, column 7: "},
		"text, not a list":  {text: `nodes = "a:1"`, err: "nodes is no list of strings"},
		"a list, not text":  {text: `prefix = ["/p"]`, err: "prefix is a list"},
		"a table, not text": {text: "[prefix]\na = 1", err: "prefix is neither text"},
		"numbers":           {text: `nodes = [1]`, err: "nodes is no list of addresses"},
		"a comma":           {text: `nodes = ["a:1,b:2"]`, err: "nodes is no list of addresses"},
	} {
		t.Run(name, func(t *testing.T) {
			values, err := parseConfdFile("confd.toml", []byte(test.text))
			if err != nil || test.err != "" {
				if err == nil || test.err == "" || !strings.HasPrefix(err.Error(), test.err) {
					t.Fatalf("error %v, want %q", err, test.err)
				}
				return
			}
			got := map[string]string{}
			for key, v := range values {
				got[key] = v.text
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestConfdEnvironment(t *testing.T) {
	got := confdEnvironment([]string{
		"CONFD_PREFIX=/p", "CONFD_CLIENT_CAKEYS=ca", "CONFD_WATCH=", "CONFD_SERVICE_HOST=10.0.0.1", "CONFD_NODES=a:1", "CONFD_CONFIG_FILE=/c",
	})
	want := map[string]confdValue{
		"prefix": {"/p", "CONFD_PREFIX"}, "client_cakeys": {"ca", "CONFD_CLIENT_CAKEYS"}, "config_file": {"/c", "CONFD_CONFIG_FILE"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(confdValue{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestConfdWarns(t *testing.T) {
	for value, want := range map[string]bool{"true": true, "1": true, "Yes": true, "false": false, "0": false, "NO": false} {
		var found confdFound
		found.warn(map[string]confdValue{"noop": {value, "CONFD_NOOP"}})
		if got := len(found.warnings) == 1 && found.noop == "CONFD_NOOP"; got != want {
			t.Errorf("noop = %q: %t, want %t", value, got, want)
		}
	}
	var found confdFound
	found.user(map[string]confdValue{"username": {"a:b", "confd.toml: username"}, "basic_auth": {"true", ""}}, nil)
	if len(found.warnings) != 1 || !strings.Contains(found.warnings[0], "colon") {
		t.Errorf("a colon in the user's name: %q", found.warnings)
	}
}

func FuzzParseConfdFile(f *testing.F) {
	f.Add("nodes = [\"a\"]\nwatch = true")
	f.Add("[a.b]\nc = 1")
	f.Fuzz(func(t *testing.T, text string) {
		values, err := parseConfdFile("confd.toml", []byte(text))
		if err == nil {
			new(confdFound).warn(values)
		}
	})
}

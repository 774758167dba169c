package template

import (
	"slices"
	"strings"
	"testing"
)

// TestNotesStopNothing: a tree of confd's that is right has notes and no problems.
func TestNotesStopNothing(t *testing.T) {
	c := load(t, confdir(t, map[string]string{
		"conf.d/a.toml":       "[template]\nsrc = \"t\"\ndest = \"/a\"\nuid = 1\nreload_cmd = \"true\"\n",
		"conf.d/b.toml":       "[template]\nsrc = \"t\"\ndest = \"/b\"\nkeys = [\"/\"]\nowner = \"x\"\ngroup = \"y\"\n",
		"conf.d/all.toml.off": "", "templates/t": "{{len hostname}}{{getenv \"A\"}}{{include \"u\"}}", "templates/u": "\n{{ (lookupIP \"x\") }}",
	}))
	if len(c.Problems) > 0 {
		t.Errorf("problems: %v", c.Problems)
	}
	for _, want := range []string{
		"conf.d: warning: a profile each: a, b. ", "conf.d/a.toml:1:2: warning: no keys", "conf.d/a.toml:4:1: warning: uid 1", "conf.d/a.toml:5:1: warning: reload_cmd runs inside",
		"conf.d/b.toml:5:1: warning: owner", "conf.d/b.toml:6:1: warning: group", "templates/t:1:7: warning: hostname", "templates/t:1:19: warning: getenv", "templates/u:2:5: warning: lookupIP",
	} {
		if !slices.ContainsFunc(c.Notes, func(n Problem) bool { return strings.HasPrefix(n.String(), want) }) {
			t.Errorf("no note %q among %v", want, c.Notes)
		}
	}
	if slices.ContainsFunc(c.Notes, func(n Problem) bool { return !n.Warning }) {
		t.Error("a note that is no warning")
	}
}

// TestSelectNeedsNoLabelValue: a profile that chooses its pods needs no name that
// a pod's label can have.
func TestSelectNeedsNoLabelValue(t *testing.T) {
	text := "[template]\nsrc = \"t\"\ndest = \"/a\"\nkeys = [\"/\"]\n[profile]\n"
	c := load(t, confdir(t, map[string]string{
		"conf.d/my site/a.toml": text + "select = \"app=web\"\n", "conf.d/your site/a.toml": text, "templates/t": "",
	}))
	if len(c.Problems) != 1 || c.Problems[0].Profile != "your site" || !c.Problems[0].Warning {
		t.Errorf("problems: %v", c.Problems)
	}
}

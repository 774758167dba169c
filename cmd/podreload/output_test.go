package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/status"
)

func TestAgo(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for want, past := range map[string]time.Duration{
		"0s ago":   -time.Second, // a clock that was set back
		"1s ago":   time.Second + 900*time.Millisecond,
		"119s ago": 2*time.Minute - 1,
		"2m ago":   2 * time.Minute,
		"119m ago": 2*time.Hour - 1,
		"2h ago":   2 * time.Hour,
		"47h ago":  48*time.Hour - 1,
		"2d ago":   48 * time.Hour,
	} {
		if got := ago(now.Add(-past), now); got != want {
			t.Errorf("%s: %q, want %q", past, got, want)
		}
	}
	if got := ago(time.Time{}, now); got != "" {
		t.Errorf("never: %q, want nothing", got)
	}
}

func TestLine(t *testing.T) {
	for in, want := range map[string]string{
		"":                        "-",
		" \n ":                    "-",
		"one\ntwo\t three":        "one two three",
		"\x1b[31mred\x1b[0m":      "[31mred [0m",
		"c1 \u009b31m":            "c1 31m",
		"trojan \u202egnp.exe":    "trojan gnp.exe",
		"bad \xff bytes":          "bad \ufffd bytes",
		"a name is not harmed: ü": "a name is not harmed: ü",
	} {
		if got := line(in); got != want {
			t.Errorf("line(%q) = %q, want %q", in, got, want)
		}
	}
}

// FuzzLine: whatever a container says, it is one cell of one line, and no
// command to the terminal.
func FuzzLine(f *testing.F) {
	f.Add("plain")
	f.Add("\x1b]0;title\x07\r\n\t\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		got := line(s)
		if got == "" {
			t.Error("an empty cell")
		}
		for _, r := range got {
			if r != ' ' && !unicode.IsPrint(r) && r != unicode.ReplacementChar {
				t.Errorf("line(%q) = %q holds %U", s, got, r)
			}
		}
	})
}

func TestTableAligns(t *testing.T) {
	var out bytes.Buffer
	tab := table{header: []string{"A", "LONG"}, rows: [][]string{{"wide\ncell", "x"}, {"y", ""}}}
	if err := tab.write(&out); err != nil {
		t.Fatal(err)
	}
	want := "A           LONG\nwide cell   x\ny           -\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPrintTemplate(t *testing.T) {
	type row struct {
		Name string `json:"name"`
		Size int64  `json:"size"`
	}
	rows := []row{{"one", 1234567}, {"two", 1}}
	for text, want := range map[string]string{
		`{{range .}}{{.name}} {{end}}`: "one two \n",
		`{{json .}}`:                   `[{"name":"one","size":1234567},{"name":"two","size":1}]` + "\n",
		`{{(index . 0).size}} {{eq (index . 1).size 1}}`: "1234567 true\n",
		`{{(index . 0).name | upper}}`:                   "ONE\n",
	} {
		var out bytes.Buffer
		if err := printTemplate(&out, text, rows); err != nil || out.String() != want {
			t.Errorf("%s: %q, %v; want %q", text, out.String(), err, want)
		}
	}
	err := printTemplate(&bytes.Buffer{}, `{{(index . 0).nope}}`, rows)
	if err == nil || !strings.Contains(err.Error(), `no entry for key "nope"`) {
		t.Errorf("an unknown key: %v", err)
	}
}

// TestTemplateHasAllFields: all columns can be asked for, also of what is empty there, and nothing else.
func TestTemplateHasAllFields(t *testing.T) {
	targets := []daemonset.Status{{Pod: "a", State: daemonset.Live, Revision: 7}, {Pod: "b", State: daemonset.Waiting, Reason: "not applied yet"}}
	view := glance{Report: status.Report{View: daemonset.View{Targets: []daemonset.TargetView{{Status: targets[0]}}}}}
	for _, tt := range []struct {
		value      any
		text, want string
	}{
		{targets, "{{range .}}{{.pod}} {{.revision}} {{.reason}}{{.reloaded}};{{end}}", "a 7 ;b 0 not applied yet;\n"},
		{targets, "{{range .}}{{.owed}}{{len .files}}{{.process}};{{end}}", "false0<no value>;false0<no value>;\n"},
		{daemonset.Event{Kind: daemonset.Daemon}, "{{.kind}} {{.state}}{{.pod}}{{range .wrote}}{{.}}{{end}}", "Daemon \n"},
		{[]change{{Back: true}}, "{{range .}}{{.back}}{{.signal}}{{.revision}}{{end}}", "true0\n"},
		{view, "{{.runtimeAway}}{{len .problems}}{{range .targets}}{{.pod}} {{.behind}}{{.results}}{{end}}", "0a map[]\n"},
		{podRow{Pod: daemonset.Pod{Labels: map[string]string{"app": "shop"}}}, "{{.labels.app}} {{.annotations}}", "shop map[]\n"},
	} {
		var out bytes.Buffer
		if err := printTemplate(&out, tt.text, tt.value); err != nil || out.String() != tt.want {
			t.Errorf("%s: %q, %v; want %q", tt.text, out.String(), err, tt.want)
		}
	}
	for value, text := range map[any]string{&targets: "{{range .}}{{.nope}}{{end}}", &view: "{{.profile}}", &podRow{}: "{{.labels.app}}"} {
		if err := printTemplate(&bytes.Buffer{}, text, value); err == nil || !strings.Contains(err.Error(), "no entry for key") {
			t.Errorf("%s: %v, want that there is none", text, err)
		}
	}
}

package main

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/agent"
)

func difference(inside, want string) agent.Difference {
	return agent.Difference{File: daemonset.File{Path: "/etc/a", Data: []byte(want)}, Existed: true, Changed: true, Inside: []byte(inside)}
}

func TestUnified(t *testing.T) {
	const name = "ns/pod/c:/etc/a"
	missing := difference("", "one\n")
	missing.Existed = false
	sensitive := difference("old secret", "new secret")
	sensitive.File.Sensitive = true
	empty := difference("", "")
	empty.Existed = false
	goes, goesEmpty := difference("one\n", ""), difference("", "")
	goes.File.Absent, goesEmpty.File.Absent = true, true
	for what, test := range map[string]struct {
		d    agent.Difference
		want string
	}{
		"equal":       {agent.Difference{}, ""},
		"a line":      {difference("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nx\n6\n7\n8\n9\n"), "--- " + name + "\n+++ " + name + "\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+x\n 6\n 7\n 8\n"},
		"no newline":  {difference("a", "b\n"), "--- " + name + "\n+++ " + name + "\n@@ -1,1 +1,1 @@\n-a\n\\ No newline at end of file\n+b\n"},
		"missing":     {missing, "--- /dev/null\n+++ " + name + "\n@@ -0,0 +1,1 @@\n+one\n"},
		"empty":       {empty, name + ": is missing inside, and empty\n"},
		"goes":        {goes, "--- " + name + "\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-one\n"},
		"goes, empty": {goesEmpty, name + ": is empty, and goes\n"},
		"mode":        {difference("a\n", "a\n"), name + ": mode or owner differ, the content is equal\n"},
		"sensitive":   {sensitive, name + ": differs (sensitive: its content is not shown)\n"},
		"binary":      {difference("a\x00b", "text\n"), name + ": differs (no text: 3 bytes inside, 5 bytes new)\n"},
		"no UTF-8":    {difference("a\n", "\xff\n"), name + ": differs (no text: 2 bytes inside, 2 bytes new)\n"},
		"control":     {difference("\x1b]0;title\x07\r\n", "trojan \u202e\u009b31m\t.\n"), "--- " + name + "\n+++ " + name + "\n@@ -1,1 +1,1 @@\n-\\x1b]0;title\\a\\r\n+trojan \\u202e\\u009b31m\t.\n"},
		"other words": {difference("Grüße\n", "日本\n"), "--- " + name + "\n+++ " + name + "\n@@ -1,1 +1,1 @@\n-Grüße\n+日本\n"},
	} {
		t.Run(what, func(t *testing.T) {
			if diff := cmp.Diff(test.want, string(unified("ns/pod/c", test.d, plain))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

var colours = regexp.MustCompile("\x1b\\[(31|32|36|0)m")

func TestColours(t *testing.T) {
	d := difference("a\n\x1b[31mb\n", "a\nc\n")
	got := string(unified("ns/pod/c", d, coloured))
	want := "\x1b[31m--- ns/pod/c:/etc/a\x1b[0m\n\x1b[32m+++ ns/pod/c:/etc/a\x1b[0m\n\x1b[36m@@ -1,2 +1,2 @@\x1b[0m\n a\n\x1b[31m-\\x1b[31mb\x1b[0m\n\x1b[32m+c\x1b[0m\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWantsColor(t *testing.T) {
	none := func(string) string { return "" }
	set := func(key string) func(string) string {
		return func(k string) string { return map[bool]string{true: "dumb"}[k == key] }
	}
	device, err := os.OpenFile("/dev/null", os.O_WRONLY, 0) // as a terminal is, to stat
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	switch {
	case !wantsColor("auto", device, none), wantsColor("auto", file, none), wantsColor("auto", &bytes.Buffer{}, none):
		t.Error("auto is not: on a terminal alone")
	case wantsColor("auto", device, set("NO_COLOR")), wantsColor("auto", device, set("TERM")):
		t.Error("auto colours where no colours are wanted")
	case !wantsColor("always", file, set("NO_COLOR")), wantsColor("never", device, none):
		t.Error("always or never is not so")
	}
}

// FuzzUnified: whatever a container has in its files, no command to the terminal
// comes through, coloured or not.
func FuzzUnified(f *testing.F) {
	f.Add("a\nb\n", "a\n\x1b]0;t\x07\n", "/etc/a")
	f.Add("\xff", "\u202e\r", "/etc/\x1b[2J")
	f.Fuzz(func(t *testing.T, inside, want, path string) {
		d := difference(inside, want)
		d.File.Path = path
		for _, paint := range []painter{plain, coloured} {
			got := colours.ReplaceAllString(string(unified("ns/pod/c", d, paint)), "")
			for _, r := range strings.ReplaceAll(got, "\n", "") {
				if visible(string(r)) != string(r) {
					t.Fatalf("%q holds %U", got, r)
				}
			}
		}
	})
}

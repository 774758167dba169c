package daemonset

import (
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

func TestSplitCommand(t *testing.T) {
	sh := func(line string) []string { return []string{"/bin/sh", "-c", line} }
	for line, want := range map[string][]string{
		"nginx -t":                       {"nginx", "-t"},
		"  haproxy  -c -f /etc/h.cfg\n":  {"haproxy", "-c", "-f", "/etc/h.cfg"},
		"check --config=/etc/x.conf a#b": {"check", "--config=/etc/x.conf", "a#b"},
		"nginx -t && true":               sh("nginx -t && true"),
		"nginx -g 'daemon off;'":         sh("nginx -g 'daemon off;'"),
		"A=b nginx -t":                   sh("A=b nginx -t"),
		"exec nginx -t":                  sh("exec nginx -t"),
		"exit 3":                         sh("exit 3"),
		"kill -HUP 1":                    sh("kill -HUP 1"),
		"/bin/kill -HUP 1":               {"/bin/kill", "-HUP", "1"},
		"test -f ~/x":                    sh("test -f ~/x"),
		"nginx -t # says it":             sh("nginx -t # says it"),
		"ls /etc/*.conf":                 sh("ls /etc/*.conf"),
		"nginx -t\nnginx -T":             sh("nginx -t\nnginx -T"),
		"":                               {},
		"\t\n":                           {},
	} {
		if diff := cmp.Diff(want, SplitCommand(line)); diff != "" {
			t.Errorf("SplitCommand(%q) (-want +got):\n%s", line, diff)
		}
	}
}

func TestCleanText(t *testing.T) {
	for in, want := range map[string]string{
		"plain\n":                    "plain",
		"a\x1b[31mred\x1b[0m b":      "ared b",
		"\x1b]0;title\x07x":          "x",
		"\x1b]8;;http://x\x1b\\link": "link",
		"a\x00b\x07c\x7f":            "abc",
		"one\r\ntwo\rthree":          "one\ntwothree",
		"\u202eturned\u200b":         "turned",
		"bad \xff utf":               "bad � utf",
		"\u009b31mred":               "31mred",
		"tab\tstays":                 "tab\tstays",
	} {
		if got := CleanText(in); got != want {
			t.Errorf("CleanText(%q): %q, want %q", in, got, want)
		}
	}
	if got := OneLine(" a\n\tb  c\n"); got != "a b c" {
		t.Errorf("OneLine: %q", got)
	}
	if got := ClipText("äöü", 3); got != "ä…" {
		t.Errorf("ClipText: %q", got)
	}
}

func FuzzCleanText(f *testing.F) {
	f.Add("\x1b[\x1b[31mmm")
	f.Add("\x1b\x1b[0m]0;x\x07")
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range CleanText(s) {
			if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
				t.Errorf("CleanText(%q) holds %U", s, r)
			}
		}
		if strings.ContainsAny(OneLine(s), "\n\t") {
			t.Errorf("OneLine(%q) has more than one", s)
		}
	})
}

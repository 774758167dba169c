package daemonset

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// sequences are what moves a terminal's cursor, colours its text, sets its title.
var sequences = regexp.MustCompile("\x1b\\[[0-?]*[ -/]*[@-~]|\x1b[\\]P^_X][^\x07\x1b]*(?:\x07|\x1b\\\\)?|\x1b[@-_]")

// CleanText makes text that a container wrote harmless to show.
func CleanText(s string) string {
	s = sequences.ReplaceAllString(strings.ToValidUTF8(s, "�"), "")
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t':
			return r
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r): // Cf: what turns the direction of text
			return -1
		}
		return r
	}, s)
	return strings.TrimSpace(s)
}

// OneLine is such text for tables and errors: on one line, and not too long for it.
func OneLine(s string) string { return ClipText(strings.Join(strings.Fields(CleanText(s)), " "), 1000) }

// ClipText cuts text after n bytes, at a rune's start.
func ClipText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/podreload/podreload/daemonset/agent"
)

// painter gives a line of a diff its colour, by its first character.
type painter func(line string) string

func plain(line string) string { return line }

func coloured(line string) string {
	colour := map[byte]string{'-': "\x1b[31m", '+': "\x1b[32m", '@': "\x1b[36m"}[line[0]] // red, green, cyan
	if colour == "" {
		return line
	}
	return colour + line + "\x1b[0m"
}

// unified is the difference as a person reads it, nothing where there is none. Of
// what is sensitive, and of what is no text, it says only that it differs.
func unified(container string, d agent.Difference, paint painter) []byte {
	name := visible(container + ":" + d.File.Path)
	switch {
	case !d.Changed:
		return nil
	case d.File.Sensitive:
		return fmt.Appendf(nil, "%s: differs (sensitive: its content is not shown)\n", name)
	case d.File.Absent && len(d.Inside) == 0:
		return fmt.Appendf(nil, "%s: is empty, and goes\n", name)
	case d.Existed && bytes.Equal(d.Inside, d.File.Data):
		return fmt.Appendf(nil, "%s: mode or owner differ, the content is equal\n", name)
	case !isText(d.Inside) || !isText(d.File.Data):
		return fmt.Appendf(nil, "%s: differs (no text: %d bytes inside, %d bytes new)\n", name, len(d.Inside), len(d.File.Data))
	case !d.Existed && len(d.File.Data) == 0:
		return fmt.Appendf(nil, "%s: is missing inside, and empty\n", name)
	}
	before, after := name, name
	if !d.Existed {
		before = "/dev/null"
	}
	if d.File.Absent {
		after = "/dev/null"
	}
	var out bytes.Buffer
	for i, line := range strings.Split(strings.TrimSuffix(string(diff.Diff(before, d.Inside, after, d.File.Data)), "\n"), "\n") {
		if i > 0 { // the first is the command that would have made it
			fmt.Fprintln(&out, paint(visible(line)))
		}
	}
	return out.Bytes()
}

// isText tells text, in any language, from what would be noise.
func isText(data []byte) bool { return utf8.Valid(data) && !bytes.ContainsRune(data, 0) }

// visible is a line with what moves a terminal's cursor, colours its text or turns
// it round written out, since it may come from inside a container.
func visible(line string) string {
	var b strings.Builder
	for _, r := range line {
		if r == '\t' || unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRuneToASCII(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}

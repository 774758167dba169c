package template

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"
)

// Problem is one thing that is wrong with the files of a confdir.
type Problem struct {
	File         string // below confdir, such as conf.d/web/nginx.toml
	Line, Column int    // from 1, in bytes; 0 when the whole file is meant
	Message      string
	Warning      bool   // nothing is stopped by it
	Profile      string // the profile that the file belongs to
}

// String is the problem in the form that editors jump to.
func (p Problem) String() string {
	if p.Warning {
		return p.Place() + ": warning: " + p.Message
	}
	return p.Place() + ": " + p.Message
}

// Place is where it is, without what.
func (p Problem) Place() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
		if p.Column > 0 {
			fmt.Fprintf(&b, ":%d", p.Column)
		}
	}
	return b.String()
}

// Error makes a problem usable as the error of its profile.
func (p Problem) Error() string { return p.String() }

// lineAt is the line of an offset, from 1.
func lineAt(data []byte, offset int) int {
	return 1 + bytes.Count(data[:min(max(offset, 0), len(data))], []byte("\n"))
}

// byPlace orders problems by file and line.
func byPlace(a, b Problem) int {
	return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line)
}

// firstError is the error that problems amount to, on one line: the first that
// is no warning, and how many more there are. Nil when all are warnings.
func firstError(problems []Problem) error {
	var first error
	more := 0
	for _, p := range problems {
		switch {
		case p.Warning:
		case first == nil:
			first = p
		default:
			more++
		}
	}
	if more > 0 {
		return fmt.Errorf("%w (and %d more)", first, more)
	}
	return first
}

package template

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxFormatted bounds what one call of printf may make of its arguments, as
// estimated before. The estimate is generous, so it is more than maxString.
const maxFormatted = 4 * maxString

// widest is the widest that package fmt makes anything: more is "%!(BADWIDTH)".
const widest = 1_000_000

func boundedPrintf(format string, args ...any) (string, error) {
	if modest(format, args) {
		return fmt.Sprintf(format, args...), nil
	}
	n, err := formatted(format, args)
	if err != nil {
		return "", err
	}
	if n > maxFormatted {
		return "", errTooMuch
	}
	return bounded(fmt.Sprintf(format, args...))
}

// modest is true for nearly all that templates print: little text, and neither
// widths nor indexes in the format. It needs no estimate.
func modest(format string, args []any) bool {
	const short, few, little = 256, 64, 4096
	if len(format) > short || len(args) > few || strings.ContainsAny(format, "0123456789*[") {
		return false
	}
	for _, a := range args {
		switch a := a.(type) {
		case int, bool:
		case string:
			if len(a) > little {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// formatted is at least how long format with args becomes. A short format can
// make much: widths and precisions go up to a million, count for each element
// of a list, may come from an argument (`*`), and an explicit index (`%[1]s`)
// uses one argument any number of times.
func formatted(format string, args []any) (n int, err error) {
	sizes, sum := make([]sizer, len(args)), 0
	for i, a := range args {
		if err := sizes[i].add(1, a); err != nil {
			return 0, err
		}
		if sum += sizes[i].bytes; sum > maxString {
			return 0, errTooMuch
		}
	}
	d := directives{format: format, args: args}
	n = len(format)
	for n <= maxFormatted && d.next() {
		n += d.space + 32 // at least "%!v(BADINDEX)"
		if d.arg < 0 || d.arg >= len(args) {
			continue
		}
		s := sizes[d.arg]
		n += d.factor*s.bytes + s.leaves*(d.space+d.each)
		if n < 0 {
			return maxFormatted + 1, nil
		}
	}
	// What is left over is printed too: %!(EXTRA type=value, ...).
	for _, s := range sizes {
		n += s.bytes + 64*s.leaves
	}
	return n, nil
}

// directives reads a format as package fmt does.
type directives struct {
	format string
	args   []any
	turn   int // the argument whose turn it is

	arg    int // the one that is printed; -1: none
	space  int // width and precision
	factor int // what a byte becomes at most
	each   int // what is added to each element of a list
}

// next goes to the next verb.
func (d *directives) next() bool {
	at := strings.IndexByte(d.format, '%')
	if at < 0 {
		return false
	}
	d.format = d.format[at+1:]
	flags := len(d.format) - len(strings.TrimLeft(d.format, "#0+- "))
	sharp := strings.Contains(d.format[:flags], "#")
	d.format = d.format[flags:]
	d.space = 0
	d.index()
	d.space += d.number()
	if rest, ok := strings.CutPrefix(d.format, "."); ok {
		d.format = rest
		d.index()
		d.space += d.number()
	}
	d.index()
	verb, width := utf8.DecodeRuneInString(d.format)
	d.format = d.format[width:]
	if d.arg = -1; verb == '%' {
		return true
	}
	d.arg = d.turn
	d.turn++
	d.factor, d.each = 1, 64
	switch {
	case verb == 'q', sharp:
		d.factor = 5 // a byte as \x00, or as 0x00 and a space
	case verb == 'x', verb == 'X':
		d.factor = 3
	case verb == 'f', verb == 'F':
		d.each = 400 // 1e308 is written out
	}
	return true
}

// index takes an explicit argument index, such as [1].
func (d *directives) index() {
	rest, ok := strings.CutPrefix(d.format, "[")
	if !ok {
		return
	}
	digits, rest, ok := strings.Cut(rest, "]")
	if n, err := strconv.Atoi(digits); ok && err == nil {
		d.turn = n - 1
	}
	if ok {
		d.format = rest
	}
}

// number takes a width or a precision: digits, or an argument's value.
func (d *directives) number() int {
	if rest, ok := strings.CutPrefix(d.format, "*"); ok {
		d.format = rest
		n := widest
		if d.turn >= 0 && d.turn < len(d.args) {
			if v, ok := d.args[d.turn].(int); ok {
				n = min(max(v, -v, 0), widest)
			}
		}
		d.turn++
		return n
	}
	digits := len(d.format) - len(strings.TrimLeft(d.format, "0123456789"))
	text := d.format[:digits]
	d.format = d.format[digits:]
	if n, err := strconv.Atoi(text); err == nil {
		return min(n, widest)
	} else if text != "" {
		return widest
	}
	return 0
}

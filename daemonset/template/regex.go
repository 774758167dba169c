package template

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

// Bounds of regular expressions. They run in linear time and cannot be stopped,
// so what one call may cost is known before: instructions of the expression
// times bytes of the text.
const (
	maxPattern   = 1024    // bytes; repetitions make it up to a thousand times as large
	maxRegexWork = 1 << 27 // a second or two
	maxRegexps   = 1000    // different ones in a render
)

type expression struct {
	*regexp.Regexp
	instructions int
}

// compile makes an expression once for all calls of a render.
func (s *session) compile(pattern string) (*expression, error) {
	if e := s.regexps[pattern]; e != nil {
		return e, nil
	}
	if len(pattern) > maxPattern {
		return nil, fmt.Errorf("a regular expression of more than %d bytes", maxPattern)
	}
	if len(s.regexps) == maxRegexps {
		return nil, fmt.Errorf("more than %d different regular expressions", maxRegexps)
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, err
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, err
	}
	e := &expression{re, len(program.Inst)}
	if s.regexps == nil {
		s.regexps = map[string]*expression{}
	}
	s.regexps[pattern] = e
	return e, nil
}

// expression compiles a pattern that is to run over text.
func (e *execution) expression(pattern, text string) (*expression, error) {
	if err := e.tick(0); err != nil {
		return nil, err
	}
	re, err := e.compile(pattern)
	if err != nil {
		return nil, err
	}
	if len(text) > maxRegexWork/re.instructions {
		return nil, fmt.Errorf("a text of %d bytes is too much for this regular expression", len(text))
	}
	return re, nil
}

func (e *execution) regexMatch(pattern, s string) (bool, error) {
	re, err := e.expression(pattern, s)
	return err == nil && re.MatchString(s), err
}

// regexFind is the first match, or "".
func (e *execution) regexFind(pattern, s string) (string, error) {
	re, err := e.expression(pattern, s)
	if err != nil {
		return "", err
	}
	return re.FindString(s), nil
}

// regexReplaceAll replaces every match; $1 and ${name} in the replacement are
// what the groups matched.
func (e *execution) regexReplaceAll(pattern, s, replacement string) (string, error) {
	re, err := e.expression(pattern, s)
	if err != nil {
		return "", err
	}
	// A group is at most its match long, so this is at least the result's size.
	n, groups := len(s), strings.Count(replacement, "$")
	replaced, err := eachMatch(re, s, func(match string) (string, error) {
		if n += len(replacement) + groups*len(match); n > maxFormatted {
			return "", errTooMuch
		}
		return replacement, e.tick(0)
	})
	if err != nil {
		return "", err
	}
	if groups > 0 {
		replaced = re.ReplaceAllString(s, replacement) // takes no longer than that did
	}
	return bounded(replaced)
}

// stopped leaves a walk over matches, for which package regexp has no other way.
type stopped struct{ error }

// eachMatch replaces each match, until there is an error.
func eachMatch(re *expression, s string, replace func(match string) (string, error)) (replaced string, err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case stopped:
			err = r.error
		default:
			panic(r)
		}
	}()
	return re.ReplaceAllStringFunc(s, func(match string) string {
		text, err := replace(match)
		if err != nil {
			panic(stopped{err})
		}
		return text
	}), nil
}

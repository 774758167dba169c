package template

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	texttemplate "text/template"
)

// maxIncludes is how deep includes may be in each other, as in confd's fork.
const maxIncludes = 10

// include is the output of another template below templates, with data as its
// dot. It sees the same keys and functions as the file that it is included in.
func (e *execution) include(name string, data ...any) (string, error) {
	file, err := cleanInclude(name)
	if err != nil {
		return "", fmt.Errorf("%q: %w", name, err)
	}
	switch {
	case slices.Contains(e.open, file):
		return "", fmt.Errorf("cycle detected: %s", strings.Join(append(e.open, file), " includes "))
	case len(e.open) == maxIncludes:
		return "", fmt.Errorf("%q: includes are more than %d deep in each other", name, maxIncludes)
	}
	f := e.library.find(file)
	switch {
	case f == nil:
		return "", fmt.Errorf("there is no templates/%s, or there was none when the configuration was read", file)
	case f.err != nil:
		return "", fmt.Errorf("%s: %w", f.path(), f.err)
	case f.problem != nil:
		return "", includeError{f, *f.problem}
	}
	t := e.ready[file]
	if t == nil {
		if t, err = e.bind(f.tmpl); err != nil {
			return "", err
		}
		if e.ready == nil {
			e.ready = map[string]*texttemplate.Template{}
		}
		e.ready[file] = t
	}
	e.open = append(e.open, file)
	defer func() { e.open = e.open[:len(e.open)-1] }()
	var dot any
	if len(data) > 0 {
		dot = data[0]
	}
	text, err := e.execute(t, maxString, 0, dot)
	if err != nil {
		return "", includeError{f, err}
	}
	return string(text), nil
}

// find is a template that was loaded; nil without.
func (l *library) find(name string) *templateFile {
	if l == nil {
		return nil
	}
	return l.files[name]
}

// includeError is an error of an included template: what fails is told where it
// stands, not where it was included.
type includeError struct {
	file *templateFile
	err  error
}

func (e includeError) Error() string { return e.file.path() + ": " + e.err.Error() }
func (e includeError) Unwrap() error { return e.err }

// innermost is the template that an error comes from, and its error: src and err
// themselves when nothing was included.
func innermost(src string, err error) (string, error) {
	var inner includeError
	for range maxIncludes {
		if !errors.As(err, &inner) {
			break
		}
		src, err = inner.file.name, inner.err
	}
	return path.Clean(src), err
}

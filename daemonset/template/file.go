package template

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// file is one TOML file of conf.d, read.
type file struct {
	name     string // below confdir
	doc      document
	keys     map[string]position
	resource *Resource         // nil without [template]
	sum      [sha256.Size]byte // of its text
	problems []Problem
	gathered bool            // named in the resources of another file
	reached  []*templateFile // its template, and what that includes
}

// id is the file's name below conf.d, which is its resource's name.
func (f *file) id() string { return strings.TrimPrefix(f.name, "conf.d/") }

// profileName is the profile that the file belongs to: the one it names, else
// its folder in conf.d, else its own name without .toml.
func (f *file) profileName() string {
	if f.doc.Profile != nil && f.doc.Profile.Name != nil {
		return *f.doc.Profile.Name
	}
	if folder, _, ok := strings.Cut(f.id(), "/"); ok {
		return folder
	}
	return strings.TrimSuffix(f.id(), ".toml")
}

func (f *file) problem(key, format string, args ...any) Problem {
	at := keyPosition(f.keys, key)
	return Problem{File: f.name, Line: at.line, Column: at.column, Message: fmt.Sprintf(format, args...)}
}

// loadFile reads one file of conf.d and the template that it names.
func loadFile(l *library, name string) *file {
	f := &file{name: name}
	data, err := readFile(l.root, name, maxTOML)
	if err != nil {
		f.problems = []Problem{{File: name, Message: reason(err)}}
		return f
	}
	f.sum = sha256.Sum256(data)
	f.parse(data)
	if f.resource != nil && f.resource.Src != "" {
		f.loadTemplate(l)
	}
	return f
}

// parse reads the TOML alone.
func (f *file) parse(data []byte) {
	f.doc, f.keys, f.problems = decode(f.name, data)
	if firstError(f.problems) != nil && f.keys == nil {
		return // not TOML at all: everything else would only repeat that
	}
	if f.doc.Backend != nil {
		p := f.problem("backend", "[backend] is ignored: podreload reads from its own etcd alone, see --endpoints")
		p.Warning = true
		f.problems = append(f.problems, p)
	}
	if f.doc.Template == nil {
		if f.doc.Profile == nil {
			f.problems = append(f.problems, Problem{File: f.name, Message: "no [template] in it"})
		}
		return
	}
	fail := func(key, format string, args ...any) {
		f.problems = append(f.problems, f.problem("template."+key, format, args...))
	}
	warn := func(key, format string, args ...any) {
		p := f.problem("template."+key, format, args...)
		p.Warning = true
		f.problems = append(f.problems, p)
	}
	f.resource = f.doc.Template.resource(f.id(), fail, warn)
}

func (f *file) loadTemplate(l *library) {
	t := l.load(f.resource.Src)
	var problems []Problem
	f.reached, problems = l.resolve(t)
	switch {
	case t.err != nil:
		f.problems = append(f.problems, f.problem("template.src", "%s: %v", t.path(), t.err))
	case t.problem != nil:
		f.problems = append(f.problems, *t.problem)
	default:
		f.problems = append(f.problems, problems...)
		f.resource.tmpl, f.resource.library = t.tmpl, l
	}
}

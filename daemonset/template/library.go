package template

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	texttemplate "text/template"
	"text/template/parse"
)

// Bounds of the templates of a confdir together.
const (
	maxTemplates     = 4096
	maxTemplatesSize = 64 << 20
)

// library holds the templates of a confdir, each read and parsed once. It is
// filled while the configuration is loaded, so that a render reads no file.
type library struct {
	root  *os.Root // nil once loaded
	files map[string]*templateFile
	size  int
	whole bool // every file below templates was read
}

// templateFile is one file below templates.
type templateFile struct {
	name     string // below templates
	tmpl     *texttemplate.Template
	err      error    // it could not be read
	problem  *Problem // it could not be parsed
	sum      [sha256.Size]byte
	includes []include // by literal names
	dynamic  bool      // one of its includes has a name that is known only when it is rendered
	notes    []Problem // on what it asks
}

type include struct {
	name string // as written
	line int
}

func newLibrary(root *os.Root) *library {
	return &library{root: root, files: map[string]*templateFile{}}
}

// load reads a template. Its name is clean.
func (l *library) load(name string) *templateFile {
	if f := l.files[name]; f != nil {
		return f
	}
	f := &templateFile{name: name}
	l.files[name] = f
	if len(l.files) > maxTemplates {
		f.err = fmt.Errorf("more than %d templates", maxTemplates)
		return f
	}
	text, err := readFile(l.root, path.Join("templates", name), maxTemplate)
	if err != nil {
		f.err = errors.New(reason(err))
		return f
	}
	if l.size += len(text); l.size > maxTemplatesSize {
		f.err = fmt.Errorf("more than %d MiB of templates", maxTemplatesSize>>20)
		return f
	}
	f.sum = sha256.Sum256(text)
	f.parse(text)
	return f
}

func (f *templateFile) parse(text []byte) {
	base := path.Base(f.name)
	tmpl, err := parseTemplate(base, string(text))
	if err != nil {
		line, message := parseProblem(base, err)
		f.problem = &Problem{File: f.path(), Line: line, Message: message}
		return
	}
	f.tmpl = tmpl
	for _, part := range tmpl.Templates() {
		walk(part.Root, func(n parse.Node) {
			f.noteAsking(text, n)
			command, ok := n.(*parse.CommandNode)
			if !ok || !calls(command, "include") {
				return
			}
			if len(command.Args) > 1 {
				if name, ok := command.Args[1].(*parse.StringNode); ok {
					f.includes = append(f.includes, include{name.Text, lineAt(text, int(command.Pos))})
					return
				}
			}
			f.dynamic = true
		})
	}
}

func (f *templateFile) path() string { return path.Join("templates", f.name) }

// resolve loads what f includes, and what that includes, and says what is wrong
// with them. It returns f and all that it has come to.
func (l *library) resolve(f *templateFile) (reached []*templateFile, problems []Problem) {
	reached = []*templateFile{f}
	for i := 0; i < len(reached); i++ {
		f := reached[i]
		if f.dynamic {
			l.loadAll()
		}
		for _, in := range f.includes {
			fail := func(format string, args ...any) {
				problems = append(problems, Problem{File: f.path(), Line: in.line, Message: fmt.Sprintf("include %q: ", in.name) + fmt.Sprintf(format, args...)})
			}
			name, err := cleanInclude(in.name)
			if err != nil {
				fail("%v", err)
				continue
			}
			included := l.load(name)
			if slices.Contains(reached, included) {
				continue
			}
			reached = append(reached, included)
			switch {
			case included.err != nil:
				fail("%s: %v", included.path(), included.err)
			case included.problem != nil:
				problems = append(problems, *included.problem)
			}
		}
	}
	return reached, problems
}

// loadAll reads every file below templates: the name of one to include is known
// only when it is rendered. What is wrong with a file is said by who includes it.
func (l *library) loadAll() {
	if l.whole {
		return
	}
	l.whole = true
	w := walker{root: l.root, wanted: func(string) bool { return true }}
	w.folder("templates", nil)
	for _, name := range w.files {
		l.load(strings.TrimPrefix(name, "templates/"))
	}
}

func cleanInclude(name string) (string, error) {
	clean, ok := cleanPath(name)
	if !ok {
		return "", errors.New("it is outside of templates")
	}
	return clean, nil
}

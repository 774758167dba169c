package template

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func includeTree(files map[string]string) map[string]string {
	tree := map[string]string{"conf.d/w.toml": plain}
	for name, text := range files {
		tree["templates/"+name] = text
	}
	return tree
}

func TestInclude(t *testing.T) {
	chain := map[string]string{"t": `{{include "1"}}`}
	for i := 1; i < maxIncludes; i++ {
		chain[fmt.Sprint(i)] = fmt.Sprintf("%d{{include \"%d\"}}", i, i+1)
	}
	chain[fmt.Sprint(maxIncludes)] = "end"
	for name, tt := range map[string]struct {
		files map[string]string
		want  string
	}{
		"plain":           {map[string]string{"t": `a{{include "b"}}c`, "b": "B"}, "aBc"},
		"keys and dot":    {map[string]string{"t": `{{include "b" (dict "x" 1)}}{{include "b"}}`, "b": `[{{.x}} {{getv "/k"}} {{pod}}]`}, "[1 v web-0][<no value> v web-0]"},
		"more data":       {map[string]string{"t": `{{include "b" "x" "y"}}`, "b": `{{.}}`}, "x"},
		"folder":          {map[string]string{"t": `{{include "parts/b.tmpl"}}{{include "/parts/../parts/b.tmpl"}}`, "parts/b.tmpl": "B"}, "BB"},
		"in each other":   {map[string]string{"t": `{{include "b"}}`, "b": `{{include "c" .}}`, "c": "C"}, "C"},
		"deepest":         {chain, "123456789end"},
		"twice":           {map[string]string{"t": `{{range seq 1 3}}{{include "b" .}}{{end}}`, "b": `{{.}}{{include "c"}}`, "c": ";"}, "1;2;3;"},
		"name from a key": {map[string]string{"t": `{{include (getv "/name")}}{{"c" | include}}`, "sub/b": "B", "c": "C", "bad": "{{"}, "BC"},
		"own definitions": {map[string]string{"t": `{{define "x"}}1{{end}}{{template "x"}}{{include "b"}}`, "b": `{{define "x"}}2{{end}}{{template "x"}}`}, "12"},
		"not reached":     {map[string]string{"t": `{{if exists "/no"}}{{include "b"}}{{end}}x`, "b": `{{include "t"}}`}, "x"},
		"no new line":     {map[string]string{"t": `{{indent 2 (include "b")}}`, "b": "x\ny"}, "  x\n  y"},
	} {
		t.Run(name, func(t *testing.T) {
			c := load(t, confdir(t, includeTree(tt.files)))
			if len(c.Problems) > 0 {
				t.Fatal(c.Problems)
			}
			files, err := profile(t, c, "w").Render(snapshot{"/k": "v", "/name": "sub/b"}, someFacts)
			if err != nil || string(files[0].Data) != tt.want {
				t.Errorf("%v, %v; want %q", files, err, tt.want)
			}
		})
	}
}

// What is wrong with an include is found when the configuration is loaded, as
// far as its name is known, and told where it stands.
func TestIncludeProblems(t *testing.T) {
	for name, tt := range map[string]struct {
		files map[string]string
		want  string
	}{
		"missing":       {map[string]string{"t": "\n{{include \"b\"}}"}, `templates/t:2: include "b": templates/b: no such file or directory`},
		"missing below": {map[string]string{"t": `{{include "b"}}`, "b": "\n\n{{if true}}\n{{print (include \"c\")}}{{end}}"}, `templates/b:4: include "c": templates/c: no such file or directory`},
		"escapes":       {map[string]string{"t": `{{include "../conf.d/w.toml"}}`}, `templates/t:1: include "../conf.d/w.toml": it is outside of templates`},
		"nothing":       {map[string]string{"t": `{{include ""}}`}, `templates/t:1: include "": it is outside of templates`},
		"folder":        {map[string]string{"t": `{{include "d"}}`, "d/x": ""}, `templates/t:1: include "d": templates/d: is not a regular file`},
		"unparsed":      {map[string]string{"t": `{{include "b"}}`, "b": "x\n{{if}}"}, `templates/b:2: missing value for if`},
		"function":      {map[string]string{"t": `{{include "b"}}`, "b": "x\n{{getw}}"}, `templates/b:2: function "getw" not defined; did you mean "get"?`},
		"no name":       {map[string]string{"t": `{{include}}`}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := load(t, confdir(t, includeTree(tt.files)))
			var got string
			for _, p := range c.Problems {
				got += p.String()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestIncludeErrors(t *testing.T) {
	chain := map[string]string{"t": `{{include "0"}}`}
	for i := range 11 {
		chain[fmt.Sprint(i)] = fmt.Sprintf("{{include \"%d\"}}", i+1)
	}
	chain["11"] = "end"
	for name, tt := range map[string]struct {
		files map[string]string
		want  string
	}{
		"itself":             {map[string]string{"t": "\n{{include \"t\"}}"}, `templates/t:2: at <include "t">: include: cycle detected: t includes t (profile w, resource w.toml)`},
		"a circle":           {map[string]string{"t": `{{include "b"}}`, "b": `{{include "c"}}`, "c": "\n\n{{include \"b\"}}"}, `templates/c:3: at <include "b">: include: cycle detected: b includes c includes b`},
		"too deep":           {chain, `templates/9:1: at <include "10">: include: "10": includes are more than 10 deep in each other`},
		"fails inside":       {map[string]string{"t": `{{include "b"}}`, "b": "x\n {{atoi \"y\"}}"}, `templates/b:2: at <atoi "y">: atoi: strconv.Atoi: parsing "y": invalid syntax (profile w, resource w.toml)`},
		"key inside":         {map[string]string{"t": `{{include "b"}}`, "b": `{{include "c"}}`, "c": "\n{{getv \"/no\"}}"}, `templates/c:2: key does not exist: /no (profile w, resource w.toml); put the key`},
		"name of a key":      {map[string]string{"t": `{{include (getv "/name")}}`}, `there is no templates/sub/b, or there was none when the configuration was read`},
		"key that leads out": {map[string]string{"t": `{{include (print "../" (getv "/name"))}}`}, `"../sub/b": it is outside of templates`},
		"unparsed by key":    {map[string]string{"t": `{{include (getv "/name")}}`, "sub/b": "\n{{if}}"}, `templates/sub/b:2: missing value for if (profile w`},
		"too large":          {map[string]string{"t": `{{include "b"}}`, "b": `{{range seq 1 20}}{{repeat 1000000 "x"}}{{end}}`}, `templates/b:0`},
	} {
		t.Run(name, func(t *testing.T) {
			c := load(t, confdir(t, includeTree(tt.files)))
			_, err := profile(t, c, "w").Render(snapshot{"/name": "sub/b"}, someFacts)
			if name == "too large" {
				if !errors.Is(err, ErrTooLarge) || !strings.HasPrefix(err.Error(), "templates/b: ") {
					t.Errorf("%v", err)
				}
			} else if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
}

// An included loop ends with the file that it is in.
func TestIncludeDeadline(t *testing.T) {
	c := load(t, confdir(t, includeTree(map[string]string{"t": `{{include "b"}}`, "b": "\n{{range 9000000000000000000}}{{end}}"})))
	p := profile(t, c, "w")
	p.Resources[0].limits.time = 500 * time.Millisecond // enough to come to the loop
	_, err := p.Render(snapshot{}, someFacts)
	var re *RenderError
	if !errors.Is(err, ErrTooLong) || !errors.As(err, &re) || re.File != "templates/b" || re.Line != 2 {
		t.Errorf("%v", err)
	}
}

// A link out of confdir is no way to read the node's files.
func TestIncludeLinks(t *testing.T) {
	outside := confdir(t, map[string]string{"secret": "secret"})
	dir := confdir(t, includeTree(map[string]string{"t": `{{include "in"}}{{include (getv "/n")}}`, "in": "x"}))
	if err := os.Symlink(filepath.Join(outside, "secret"), filepath.Join(dir, "templates/out")); err != nil {
		t.Fatal(err)
	}
	_, err := profile(t, load(t, dir), "w").Render(snapshot{"/n": "out"}, someFacts)
	if err == nil || !strings.Contains(err.Error(), "leads out of the confdir") {
		t.Errorf("%v", err)
	}
}

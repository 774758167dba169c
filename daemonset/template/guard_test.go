package template

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// A template that would never end fails alone, with its line, at its deadline.
func TestDeadline(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		line int
	}{
		"range that does nothing": {"\n\n{{range 9000000000000000000}}{{end}}", 3},
		"nested in else":          {"{{if false}}{{else}}\n{{with 1}}{{range seq 1 9}}{{end}}{{end}}{{end}}", 2},
		"inside a definition":     {"{{define \"a\"}}\n{{range 9000000000000000000}}{{end}}{{end}}{{template \"a\"}}", 2},
		"continue":                {"{{range 9000000000000000000}}{{continue}}{{end}}", 1},
		"calls":                   {strings.Repeat(`{{$x := gets "/*"}}`, 10), 0},
	} {
		r := resourceOf(t, tt.text)
		r.limits.time = 500 * time.Millisecond // enough to come to the line
		if tt.line == 0 || tt.line == 2 && name == "nested in else" {
			r.limits.time = -time.Second // over before it begins
		}
		p := &Profile{Name: "p", Resources: []*Resource{r}}
		_, err := p.Render(snapshot{"/a": ""}, Facts{})
		var re *RenderError
		if !errors.Is(err, ErrTooLong) || !errors.As(err, &re) {
			t.Errorf("%s: %v", name, err)
		} else if r.limits.time > 0 && re.Line != tt.line {
			t.Errorf("%s: line %d, want %d", name, re.Line, tt.line)
		}
	}
}

func TestRecursion(t *testing.T) {
	nest := func(n int, inner string) string {
		return strings.Repeat("{{if true}}", n) + inner + strings.Repeat("{{end}}", n)
	}
	_, err := renderText(t, `{{define "a"}}`+nest(maxNesting, `{{template "a"}}`)+`{{end}}{{template "a"}}`, snapshot{})
	if !errors.Is(err, ErrTooDeep) {
		t.Errorf("endless recursion: %v", err)
	}
	got, err := renderText(t, `{{define "a"}}{{if .}}{{template "a" slice . 1}}{{end}}.{{end}}{{range 1000}}{{template "a" "xxxxxxxxx"}}{{end}}`, snapshot{})
	if err != nil || len(got) != 10_000 {
		t.Errorf("recursion that ends: %d bytes, %v", len(got), err)
	}
	for name, text := range map[string]string{
		"deep":     nest(maxNesting+1, ""),
		"else if":  "{{if 1}}" + strings.Repeat("{{else if 1}}", maxNesting) + "{{end}}",
		"deepest":  strings.Repeat("{{- if 1}}", maxTemplate/10),
		"brackets": "{{" + strings.Repeat("(", maxTemplate-2),
	} {
		if _, err := parseTemplate("t", text); err == nil {
			t.Errorf("%s: no error", name)
		} else if _, message := parseProblem("t", err); len(message) > 200 {
			t.Errorf("%s: a message of %d bytes", name, len(message))
		}
	}
}

func TestOutputLimit(t *testing.T) {
	r := resourceOf(t, `{{range 100}}0123456789{{end}}`)
	r.limits.bytes = 1000
	p := &Profile{Name: "p", Resources: []*Resource{r}}
	if files, err := p.Render(snapshot{}, Facts{}); err != nil || len(files[0].Data) != 1000 {
		t.Errorf("at the limit: %v", err)
	}
	r.limits.bytes = 999
	if _, err := p.Render(snapshot{}, Facts{}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("over the limit: %v", err)
	}
}

package template

import (
	"errors"
	"strings"
	"testing"
)

func TestOutputFormat(t *testing.T) {
	for _, tt := range []struct{ format, text, want string }{
		{"json", `{"a": [1, null]}`, ""},
		{"json", `"x"`, ""},
		{"json", "{\n\"a\": 1,\n}", "line 3 of what it makes: invalid character"},
		{"json", "", "unexpected end of JSON input"},
		{"json", "{} {}", "line 1 of what it makes: invalid character"},
		{"yaml", "a: 1\nb: [x, y]\n---\nc: .nan\n1: 2\n", ""},
		{"yml", "", ""},
		{"yml", "a: 1\nb: [\n", "does not parse as yml: line 2 of what it makes: did not find"},
		{"yaml", "a: 1\n---\nb: : c\n", "mapping values are not allowed"},
		{"yaml", "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f]\n", "excessive aliasing"},
		{"yaml", strings.Repeat("[", 100_000), "max depth"},
		{"yaml", strings.Repeat("- ", 1<<20+1), "more than 1048576 are not parsed"},
		{"toml", "a = 1\n[b]\nc = \"x\"\n", ""},
		{"toml", "a = 1\nb =\n", "line 2 of what it makes"},
		{"xml", "<?xml version=\"1.0\"?>\n<a b=\"c\"><d/>x &amp; y</a>\n", ""},
		{"xml", "<a>\n<b>\n</a>", "line 3 of what it makes: element <b> closed by </a>"},
		{"xml", "<a>", "unexpected EOF"},
		{"xml", "text", "no element in it"},
		{"xml", "<a/>\n<b/>", "line 2 of what it makes: there is more than one element"},
		{"", "{", ""},
	} {
		r := resourceOf(t, "{{getv \"/x\"}}")
		r.OutputFormat = tt.format
		p := &Profile{Name: "p", Resources: []*Resource{r}}
		_, err := p.Render(snapshot{"/x": tt.text}, Facts{})
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s %.40q: %v", tt.format, tt.text, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "templates/t: the rendered file does not parse as ") {
			t.Errorf("%s %.40q: %v, want %s", tt.format, tt.text, err, tt.want)
		}
		var bad *formatError
		if !errors.As(err, &bad) {
			t.Errorf("%v is no formatError", err)
		}
	}
	// The parser's words can quote what stands there.
	r := resourceOf(t, "\nhunter2")
	r.OutputFormat, r.Sensitive = "json", true
	_, err := (&Profile{Name: "p", Resources: []*Resource{r}}).Render(snapshot{}, Facts{})
	if want := "templates/t: the rendered file does not parse as json: line 2 of what it makes (profile p, resource t.toml); mend the template or the value"; err == nil || err.Error() != want {
		t.Errorf("sensitive: %v, want %s", err, want)
	}
}

// Anything that was rendered is judged, and in a time that goes with its size.
func FuzzOutputFormat(f *testing.F) {
	for _, text := range []string{`{"a":1}`, "a: [b, &c d, *c]", "a = 1", "<a><b/></a>", "- - - -", "\"\r"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, format := range formats {
			r := &Resource{OutputFormat: format}
			var bad *formatError
			if err := r.checkFormat([]byte(text)); err != nil && (!errors.As(err, &bad) || bad.line > strings.Count(text, "\n")+1) {
				t.Fatal(err)
			}
		}
	})
}

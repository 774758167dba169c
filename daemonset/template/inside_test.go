package template

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fakeInside answers as a container would, and counts.
type fakeInside struct {
	asked []string
	err   error
}

func (f *fakeInside) ask(format string, args ...any) {
	f.asked = append(f.asked, fmt.Sprintf(format, args...))
}

func (f *fakeInside) FileExists(path string) (bool, error) {
	f.ask("file %s", path)
	return path == "/etc/hosts" || path == "/etc/hosts/x", f.err
}

func (f *fakeInside) LookupIP(host string) ([]string, error) {
	f.ask("ip %s", host)
	if host == "no" {
		return nil, f.err
	}
	return []string{"fd00::2", "10.0.0.9", "10.0.0.10", "::1"}, f.err
}

func (f *fakeInside) LookupSRV(service, proto, name string) ([]*net.SRV, error) {
	f.ask("srv %s %s %s", service, proto, name)
	if name == "no" {
		return nil, f.err
	}
	return []*net.SRV{{Target: "b.", Port: 1}, {Target: "a.", Port: 90, Weight: 1}, {Target: "a.", Port: 8080}}, f.err
}

func (f *fakeInside) InterfaceAddrs(name string) ([]string, error) {
	f.ask("iface %s", name)
	switch name {
	case "no":
		return nil, f.err
	case "six":
		return []string{"fe80::1"}, f.err
	}
	return []string{"fe80::1", "10.0.0.5", "10.0.0.6", "fd00::5"}, f.err
}

func renderInside(t *testing.T, inside Inside, texts ...string) (*Rendered, error) {
	t.Helper()
	p := &Profile{Name: "p"}
	for i, text := range texts {
		r := resourceOf(t, text)
		r.Dest = fmt.Sprintf("/%d", i)
		p.Resources = append(p.Resources, r)
	}
	facts := someFacts
	facts.Inside = inside
	b, err := p.Bind(facts)
	if err != nil {
		t.Fatal(err)
	}
	return b.Render(snapshot{}, facts)
}

func TestInside(t *testing.T) {
	for text, want := range map[string]string{
		`{{fileExists "/etc/hosts"}} {{fileExists "/no"}} {{fileExists "/etc/hosts/x"}}`:                               "true false true",
		`{{lookupIP "h"}} {{lookupIP "no"}} {{len (lookupIP "no")}}`:                                                   "[10.0.0.10 10.0.0.9 ::1 fd00::2] [] 0",
		`{{lookupIPV4 "h"}} {{lookupIPV6 "h"}} {{lookupIPV4 "no"}}`:                                                    "[10.0.0.10 10.0.0.9] [::1 fd00::2] []",
		`{{reverse (lookupIP "h")}} {{lookupIP "h"}}`:                                                                  "[fd00::2 ::1 10.0.0.9 10.0.0.10] [10.0.0.10 10.0.0.9 ::1 fd00::2]",
		`{{range lookupSRV "http" "tcp" "h"}}{{.Target}}{{.Port}}/{{.Weight}} {{end}}{{len (lookupSRV "a" "b" "no")}}`: "a.8080/0 a.90/1 b.1/0 0",
		`{{lookupIfaceIPV4 "eth0"}} {{lookupIfaceIPV6 "eth0"}} [{{lookupIfaceIPV4 "no"}}{{lookupIfaceIPV4 "six"}}]`:    "10.0.0.5 fe80::1 []",
	} {
		got, err := renderInside(t, &fakeInside{}, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if string(got.Files[0].Data) != want || got.Asked != (Asked{Inside: true}) {
			t.Errorf("%s: %s, %+v; want %s", text, got.Files[0].Data, got.Asked, want)
		}
	}
}

// What is not there is as confd's fork has it for toJson, too.
func TestInsideNothing(t *testing.T) {
	got, err := renderInside(t, &fakeInside{}, `{{toJson (lookupIP "no")}} {{toJson (lookupIPV4 "no")}} {{toJson (lookupSRV "a" "b" "no")}} {{toJson (keys dict)}} {{toJson (values dict)}} {{toJson (pluck "a")}}`)
	if err != nil || string(got.Files[0].Data) != "null null [] [] [] null" {
		t.Errorf("%s, %v", got.Files[0].Data, err)
	}
}

// All files of a profile see the same answers, and each costs one question.
func TestInsideIsAskedOnce(t *testing.T) {
	f := &fakeInside{}
	text := `{{lookupIP "h"}}{{lookupIPV4 "h"}}{{fileExists "/a"}}{{range seq 1 9}}{{fileExists "/a"}}{{end}}{{lookupIfaceIPV4 "e"}}{{lookupIfaceIPV6 "e"}}{{lookupSRV "a" "b" "c"}}`
	if _, err := renderInside(t, f, text, text); err != nil {
		t.Fatal(err)
	}
	want := []string{"ip h", "file /a", "iface e", "srv a b c"}
	if diff := cmp.Diff(want, f.asked); diff != "" {
		t.Errorf("questions (-want +got):\n%s", diff)
	}
	// Names that only look alike when they are put together are two questions.
	f = &fakeInside{}
	if _, err := renderInside(t, f, `{{lookupSRV "a b" "c" "d"}}{{lookupSRV "a" "b c" "d"}}{{lookupSRV "a\"\"b" "" ""}}{{lookupSRV "a" "b" ""}}`); err != nil || len(f.asked) != 4 {
		t.Errorf("%v, %q", err, f.asked)
	}
}

func TestInsideErrors(t *testing.T) {
	gone := errors.New("it is gone")
	for _, text := range []string{`{{fileExists "/a"}}`, `{{lookupIP "a"}}`, `{{lookupIPV6 "a"}}`, `{{lookupSRV "a" "b" "c"}}`, `{{lookupIfaceIPV6 "a"}}`} {
		if _, err := renderInside(t, nil, text); !errors.Is(err, ErrNoContainer) || !strings.Contains(err.Error(), "render for a target") {
			t.Errorf("%s without a container: %v", text, err)
		}
		f := &fakeInside{err: gone}
		_, err := renderInside(t, f, text)
		if !errors.Is(err, gone) || len(f.asked) != 1 || !strings.Contains(err.Error(), "cannot ask the container: it is gone (profile p, resource t.toml); it is asked again") {
			t.Errorf("%s with one that is gone: %v", text, err)
		}
	}
	// What a sensitive file asks for is not told, but that it cannot be asked is.
	r := resourceOf(t, `{{fileExists "/hunter2"}}`)
	r.Sensitive = true
	_, err := (&Profile{Name: "p", Resources: []*Resource{r}}).Render(snapshot{}, Facts{Inside: &fakeInside{err: fmt.Errorf("/hunter2: %w", gone)}})
	if !errors.Is(err, gone) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("sensitive: %v", err)
	}
	f := &fakeInside{}
	if _, err := renderInside(t, f, `{{range seq 1 300}}{{fileExists (print .)}}{{end}}`); err == nil || !strings.Contains(err.Error(), "more than 256 different questions") {
		t.Errorf("many questions: %v", err)
	}
	if len(f.asked) != maxQuestions {
		t.Errorf("%d were asked", len(f.asked))
	}
	var re *RenderError
	if _, err := renderInside(t, f, `{{fileExists "/x"}}{{getv "/no"}}`); !errors.As(err, &re) || !re.Asked.Inside {
		t.Errorf("an error does not say what was asked: %v", err)
	}
}

// A render says what it depends on, so that equal ones are made once.
func TestAsked(t *testing.T) {
	for text, want := range map[string]Asked{
		`{{gets "/*"}}{{ls "/"}}{{json "{}"}}`:          {},
		`{{if false}}{{pod}}{{end}}`:                    {},
		`{{getenv "SET"}}`:                              {Container: true},
		`{{hostname}}`:                                  {Container: true},
		`{{datetime.Year}}`:                             {Time: true},
		`{{label "app"}}`:                               {Pod: true},
		`{{define "x"}}{{node}}{{end}}{{template "x"}}`: {Pod: true},
		`{{fileExists "/x"}}{{namespace}}{{datetime}}`:  {Inside: true, Pod: true, Time: true},
	} {
		got, err := renderInside(t, &fakeInside{}, "plain", text)
		if err != nil || got.Asked != want {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
}

func TestPodFunctions(t *testing.T) {
	kv := snapshot{}
	for text, want := range map[string]string{
		`{{pod}} {{namespace}} {{container}} {{node}} {{hostname}}`:                                        "web-0 prod nginx node-1 web-0",
		`{{label "app"}} [{{label "no"}}{{label "none"}}] {{label "example.org/tier"}}`:                    "web [] front",
		`{{annotation "note"}} [{{annotation "no"}}] {{label "no" | default "x"}} {{"app" | label}}`:       "a b [] x web",
		`{{if eq (label "app") "web"}}yes{{end}} {{getv (print "/" (label "app")) "d"}} {{toUpper (pod)}}`: "yes d WEB-0",
	} {
		if got, err := renderText(t, text, kv); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{`{{pod}}`, `{{namespace}}`, `{{container}}`, `{{node}}`, `{{hostname}}`, `{{label "a"}}`, `{{annotation "a"}}`} {
		p := &Profile{Name: "p", Resources: []*Resource{resourceOf(t, text)}}
		if _, err := p.Render(kv, Facts{}); !errors.Is(err, ErrNoContainer) {
			t.Errorf("%s without a pod: %v", text, err)
		}
	}
	p := &Profile{Name: "p", Resources: []*Resource{resourceOf(t, `{{label "app"}}`)}}
	facts := Facts{}
	facts.Pod.Labels = map[string]string{"app": "x"} // as flags say it, without a name
	if files, err := p.Render(kv, facts); err != nil || string(files[0].Data) != "x" {
		t.Errorf("a label without a pod: %v", err)
	}
	if _, err := renderText(t, `{{label}}`, kv); err == nil {
		t.Error("label without argument")
	}
	if !slices.IsSorted(podFunctions) {
		t.Error("podFunctions are not sorted")
	}
}

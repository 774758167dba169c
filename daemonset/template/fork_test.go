package template

import (
	"errors"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What confd's fork added, with the fork's arguments and results.
func TestForkFunctions(t *testing.T) {
	kv := snapshot{
		"/json": `{"b":[1,"x",null],"a":{"c":"<&>"}}`, "/empty": "", "/text": "a\n\nb", "/up/1": "z", "/up/2": "y",
	}
	tests := []struct{ text, want string }{
		{`{{default "d" ""}} {{default "d" "v"}} {{default 42 0}} {{default "d" nil}} {{default true false}} {{default "d" (list)}}`, "d v 42 d true d"},
		{`{{getv "/empty" | default "d"}} {{getenv "NO" | default "d"}}`, "d d"},
		{`{{ternary "y" "n" true}} {{ternary "y" "n" false}} {{exists "/no" | ternary 1 2}}`, "y n 2"},
		{`{{coalesce "" nil 0 "x" "y"}} {{coalesce}} {{coalesce "" 0}}`, "x <no value> <no value>"},
		{`{{empty ""}} {{empty " "}} {{empty 0}} {{empty 0.0}} {{empty false}} {{empty nil}} {{empty (list)}} {{empty (dict)}} {{empty (list "")}}`,
			"true false true true true true true true false"},
		{`{{empty (gets "/no/*")}} {{empty (gets "/up/*")}} {{empty (get "/empty")}} {{empty datetime}}`, "true false false false"},
		{`{{toJson (fromJson (getv "/json"))}}`, `{"a":{"c":"\u003c\u0026\u003e"},"b":[1,"x",null]}`},
		{`{{toJson "a\"b"}} {{toJson 1}} {{toJson nil}} {{toJson (list)}} {{toJson (list 1 "a")}} {{toJson (dict "a" true)}}`, `"a\"b" 1 null [] [1,"a"] {"a":true}`},
		{`{{toJson (get "/empty")}} {{toJson (gets "/up/*")}}`, `{"Key":"/empty","Value":""} [{"Key":"/up/1","Value":"z"},{"Key":"/up/2","Value":"y"}]`},
		{`{{toPrettyJson (dict "a" (list 1 2) "b" (dict) "c" (list) "d" "x,{[:")}}`, "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": {},\n  \"c\": [],\n  \"d\": \"x,{[:\"\n}"},
		{`{{fromJson "42"}} {{fromJson "\"s\""}} {{fromJson "null"}} {{fromJson "true"}} {{index (fromJson "[1,2]") 1}} {{(fromJson "{\"a\":{\"b\":1}}").a.b}}`, "42 s <no value> true 2 1"},
		{`[{{indent 2 (getv "/text")}}] [{{indent 4 ""}}] [{{indent 0 "x"}}]`, "[  a\n  \n  b] [] [x]"},
		{`[{{nindent 2 (getv "/text")}}] [{{nindent 4 ""}}]`, "[\n  a\n  \n  b] [\n]"},
		{`{{quote "a\"b\n"}} {{quote ""}} {{squote "it's"}} {{squote ""}}`, `"a\"b\n" "" 'it''s' ''`},
		{`{{regexMatch "^a.c$" "abc"}} {{regexMatch "b" "abc"}} {{regexMatch "" "x"}} {{regexMatch "^$" "x"}}`, "true true true false"},
		{`{{regexFind "[0-9]+" "ab12c3"}} [{{regexFind "x" "abc"}}]`, "12 []"},
		{`{{regexReplaceAll "[^a-z]" "a1b2" "_"}} {{regexReplaceAll "(a)(b)" "abab" "$2${1}"}} {{regexReplaceAll "x" "abc" "y"}} {{regexReplaceAll "" "ab" "-"}}`, "a_b_ baba abc -a-b-"},
		{`{{trimPrefix "service-a" "service-"}} {{trimPrefix "a" "b"}}`, "a a"},
		{`[{{repeat 3 "ab"}}] [{{repeat 0 "ab"}}] [{{repeat 5 ""}}]`, "[ababab] [] []"},
		{`{{nospace " a b\tc\n\u00a0d"}}`, "abcd"},
		{`{{snakecase "HelloWorld"}} {{snakecase "hello-world foo"}} {{snakecase "HTTPServer"}} {{snakecase "x1Y"}} {{snakecase ""}}`, "hello_world hello_world_foo http_server x1_y "},
		{`{{camelcase "hello_world"}} {{camelcase "HTTPServer"}} {{camelcase "Foo-bar baz"}} {{camelcase "élan_été"}} {{camelcase "_"}}`, "helloWorld httpServer fooBarBaz élanÉté "},
		{`{{kebabcase "helloWorld"}} {{kebabcase "__a__B__"}} {{kebabcase "IDs"}}`, "hello-world a-b i-ds"},
		{`{{$d := dict "a" 1 "b" 2}}{{$d.a}} {{len dict}} {{hasKey $d "a"}} {{hasKey $d "c"}} {{hasKey (dict "n" nil) "n"}} {{keys $d}} {{values $d}} {{keys (dict)}}`, "1 0 true false true [a b] [1 2] []"},
		{`{{list 1 "b" nil}} {{len list}} {{$l := list "a"}}{{$l = append $l "b"}}{{$l}} {{append (list) 1}} {{append nil 1}}`, "[1 b <nil>] 0 [a b] [1] [1]"},
		{`{{pluck "p" (dict "p" 80) (dict "q" 1) (dict "p" nil)}} {{pluck "p"}} {{len (pluck "p" (dict))}}`, "[80 <nil>] [] 0"},
		{`{{sha256sum "hello"}}`, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"},
		// The fork differs in these, and the original's results stand.
		{`{{seq 3 1}} {{$l := ls "/up"}}{{$r := reverse $l}}{{$l}}`, "[] [2 1]"},
		// What grew out of one list never shares what follows, whoever appends first.
		{`{{$a := append (append (append list 1) 2) 3}}{{$b := append $a 4}}{{$c := append $a 5}}{{$d := append $b 6}}{{$a}}{{$b}}{{$c}}{{$d}}`, "[1 2 3][1 2 3 4][1 2 3 5][1 2 3 4 6]"},
		{`{{$a := append list 1}}{{range seq 2 5}}{{$a = append $a .}}{{end}}{{$a}} {{$b := append (slice $a 0 2) 9}}{{$a}}{{$b}}`, "[1 2 3 4 5] [1 2 3 4 5][1 2 9]"},
	}
	for _, tt := range tests {
		got, err := renderText(t, tt.text, kv)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
		} else if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.text, diff)
		}
	}
}

func TestForkFunctionErrors(t *testing.T) {
	tests := []struct{ text, want string }{
		{`{{fromJson "{a"}}`, "invalid character"},
		{`{{fromJson ""}}`, "unexpected end"},
		{`{{fromJson (repeat 20000 "[")}}`, "exceeded max depth"},
		{`{{fromJson (print "[" (repeat 1100000 "1,") "1]")}}`, "more than 1048576 elements"},
		{`{{toJson (fromJson (print (repeat 2000 "[") (repeat 2000 "]")))}}`, "nested more than"},
		{`{{quote 1}}`, "expected string"},
		{`{{dict "a"}}`, "invalid map call"},
		{`{{keys (list)}}`, "expected map"},
		{`{{ternary 1 2 "x"}}`, "expected bool"},
		{`{{regexMatch "[a" "x"}}`, "missing closing ]"},
		{`{{regexFind "(" "x"}}`, "missing closing )"},
		{`{{regexReplaceAll "*" "x" ""}}`, "missing argument to repetition"},
		{`{{regexMatch (repeat 2000 "a") "x"}}`, "regular expression of more than"},
		{`{{regexMatch "(a?){1000}(b?){1000}" (repeat 1000000 "a")}}`, "too much for this regular expression"},
		{`{{regexReplaceAll "." (repeat 100000 "a") (repeat 1000 "b")}}`, "more than"},
		{`{{regexReplaceAll "a+" (repeat 1000000 "a") "$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0"}}`, "more than"},
		{`{{range seq 1 1001}}{{regexMatch (print . "x") ""}}{{end}}`, "different regular expressions"},
		{`{{repeat -1 "x"}}`, "below zero"},
		{`{{repeat 9223372036854775807 "xx"}}`, "more than"},
		{`{{repeat 20000000 "x"}}`, "more than"},
		{`{{indent -1 "x"}}`, "below zero"},
		{`{{indent 9223372036854775807 "x"}}`, "more than"},
		{`{{indent 1000 (repeat 100000 "\n")}}`, "more than"},
		{`{{nindent 20000000 "x"}}`, "more than"},
		{`{{quote (repeat 5000000 "\x00")}}`, "more than"},
		{`{{squote (repeat 9000000 "'")}}`, "more than"},
		{`{{toJson (repeat 5000000 "<")}}`, "more than"},
		{`{{$l := list 1}}{{range seq 1 900}}{{$l = list $l 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1}}{{end}}{{toPrettyJson $l}}`, "more than"},
		{`{{$l := list 1}}{{range seq 1 100}}{{$l = list $l $l}}{{end}}{{$l}}`, "more than"},
		{`{{$l := list 1}}{{range seq 1 100}}{{$l = append $l $l}}{{end}}{{$l}}`, "more than"},
		{`{{$l := list 1}}{{range seq 1 2000}}{{$l = append (list) $l}}{{end}}{{$l}}`, "nested more than"},
		{`{{$l := list 1}}{{range seq 1 2000}}{{$l = append $l (repeat 10000 "x")}}{{end}}`, "more than"},
		{`{{$m := dict "a" (repeat 1000000 "x")}}{{pluck "a" $m $m $m $m $m $m $m $m $m $m $m $m $m $m $m $m $m $m}}`, "more than"},
		{`{{printf "%*d" 900000 1 | printf "%s%[1]s%[1]s%[1]s%[1]s%[1]s%[1]s%[1]s%[1]s%[1]s%[1]s%[1]s%[1]s%[1]s%[1]s%[1]s%[1]s%[1]s%[1]s%[1]s"}}`, "more than"},
		{`{{$s := repeat 4000 "x"}}{{printf ""` + strings.Repeat(" $s", 5000) + `}}`, "more than"},
		{`{{printf "%900000d" (seq 1 1000000)}}`, "more than"},
		{`{{printf (repeat 1000000 "%[1]s") (repeat 1000000 "x")}}`, "more than"},
		{`{{printf (repeat 1000000 "%[1]*[1]d") 900000}}`, "more than"},
	}
	for _, tt := range tests {
		got, err := renderText(t, tt.text, snapshot{})
		if err == nil {
			t.Errorf("%s: no error but %d bytes: %.100q", tt.text, len(got), got)
		} else if !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %q does not say %q", tt.text, err, tt.want)
		}
	}
}

// Each value is bounded, and so is what a template holds of them.
func TestHeldMemory(t *testing.T) {
	for name, text := range map[string]string{
		"calls":     `{{define "a"}}{{$x := repeat 1000000 "x"}}{{template "a"}}{{$x}}{{end}}{{template "a"}}`,
		"variables": strings.Repeat(`{{$x := repeat 1000000 "x"}}`, 500),
		"arguments": `{{print ` + strings.Repeat(`(repeat 1000000 "x") `, 500) + `}}`,
	} {
		r := resourceOf(t, text)
		r.limits.memory = 32 << 20
		e := (&session{}).execution(snapshot{}, r)
		e.held.next = e.held.next.Add(-firstLook)
		runtime.GC()
		tmpl, err := e.bind(r.tmpl)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.execute(tmpl, r.limits.bytes, 0, nil); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Each match can take as long as the whole text, and there can be as many as it
// has bytes: what is done for each match looks at the time.
func TestRegexDeadline(t *testing.T) {
	for _, replacement := range []string{"x", "$0"} {
		r := resourceOf(t, `{{regexReplaceAll "a(.*z)?" (repeat 200000 "a") "`+replacement+`"}}`)
		r.limits.time = 50 * time.Millisecond
		_, err := (&Profile{Name: "p", Resources: []*Resource{r}}).Render(snapshot{}, Facts{})
		if !errors.Is(err, ErrTooLong) {
			t.Errorf("%s: %v", replacement, err)
		}
	}
}

// The estimate for printf is never below what it makes.
func FuzzFormat(f *testing.F) {
	for _, format := range []string{
		"%d %s", "%[2]*.[1]*[3]f", "%+v|%#v|%x|% #x|%q", "%-*d%%", "%[5]d%[x]d%[", "%!%z", "%.*s", "%100000000d", "%[1]d%d%[1]*d", "%", "%[2]", "%08.3f%+q%#U%c",
	} {
		f.Add(format, "a\x00é\u2028", 7, -3)
	}
	f.Fuzz(func(t *testing.T, format, s string, a, b int) {
		args := []any{s, a, b, 1e300, []any{s, a, map[string]any{s: nil}}, KVPairs{{s, s}}, []string{s, s}, true, nil}
		n, err := formatted(format, args)
		if err != nil || n > 1<<20 {
			return
		}
		if got := boundlessPrintf(format, args...); len(got) > n {
			t.Fatalf("%q makes %d bytes, estimated %d", format, len(got), n)
		}
	})
}

// What can be called stands in the README's tables.
func TestDocumented(t *testing.T) {
	readme, err := os.ReadFile("../../cmd/podreload/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(readme), "\n## Templates\n")
	if !ok {
		t.Fatal("there is no section Templates")
	}
	var e execution
	for _, name := range slices.Concat(sortedKeys(pure), sortedKeys(e.functions()), crypt) {
		if !regexp.MustCompile("`" + name + "[ `]").MatchString(section) {
			t.Errorf("%s is not there", name)
		}
	}
}

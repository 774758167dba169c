package template

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The results are those that the original confd gives, edge cases included.
func TestFunctions(t *testing.T) {
	kv := snapshot{
		"/top": "1", "/a/b": "leaf", "/a/b/c": "2", "/a/d": "", "/a/e/f/g": "3",
		"/n": "7", "/json": `{"a":{"b":[1,2.5]},"big":12345678901234567890}`, "/arr": `["x",1,null]`,
		"/up/1": "z", "/up/2": "y", "/up/30": "x", "/trail/": "t", "/dbl//x": "d", "noslash": "no",
	}
	tests := []struct{ text, want string }{
		{`{{exists "/top"}} {{exists "/a"}} {{exists "/a/d"}} {{exists "a/b"}} {{exists "/no"}} {{exists ""}}`, "true false true false false false"},
		{`{{exists "/trail"}} {{exists "/trail/"}} {{exists "/dbl/x"}} {{exists "/dbl//x"}} {{exists "/noslash"}}`, "true false true false false"},
		{`{{get "/top"}} {{(get "/top").Key}} {{(get "/top").Value}} {{with get "/a/b"}}{{.Value}}{{end}}`, "{/top 1} /top 1 leaf"},
		{`{{getv "/top"}} {{getv "/no" "def"}} {{getv "/no" ""}} {{getv "/no" "x" "y"}} [{{getv "/a/d" "def"}}]`, "1 def  x []"},
		{`{{range gets "/a/*"}}{{.Key}}={{.Value}},{{end}}`, "/a/b=leaf,/a/d=,"},
		{`{{range gets "/*"}}{{.Key}} {{end}}`, "/arr /json /n /top /trail "},
		{`{{gets "/no/*"}} {{len (gets "/no/*")}} {{(gets "/up/*").Len}}`, "[] 0 3"},
		{`{{range gets "/up/?"}}{{base .Key}}{{end}} {{range gets "/up/[23]*"}}{{base .Key}}{{end}} {{range gets "\\/top"}}{{.Value}}{{end}}`, "12 230 1"},
		{`{{range gets "/top"}}{{.Value}}{{end}}`, "1"},
		{`{{getvs "/up/*"}} {{getvs "/no"}}`, "[x y z] []"},
		{`{{ls "/a"}} {{ls "/a/"}} {{ls "/a/b"}} {{ls "/top"}} {{ls "/no"}} {{ls "/no/such/thing"}} {{ls "/a/e"}}`, "[b d e] [b d e] [b c] [top] [] [] [f]"},
		{`{{ls "/"}} {{ls ""}} {{ls "a"}} {{ls "/a//b"}}`, "[arr json n top trail] [] [] [a]"},
		{`{{lsdir "/a"}} {{lsdir "/a/"}} {{lsdir "/a/e"}} {{lsdir "/a/b"}} {{lsdir "/"}} {{lsdir "/no"}} {{lsdir "a"}}`, "[b e] [b e] [f] [] [] [] []"},
		{`{{base "/a/b"}} {{base ""}} {{dir "/a/b/"}} {{dir "/a/b"}} {{dir ""}}`, "b . /a/b /a ."},
		{`{{split "a,b" ","}} {{len (split "" ",")}} {{join (split "a,b" ",") "-"}} {{join (getvs "/up/*") ""}}`, "[a b] 1 a-b xyz"},
		{`{{toUpper "aé"}} {{toLower "AB"}} {{contains "abc" "b"}} {{trimSuffix "a.conf" ".conf"}}`, "AÉ ab true a"},
		{`{{replace "aaa" "a" "b" 2}} {{replace "aaa" "a" "b" -1}} {{replace "ab" "" "-" -1}} {{replace "aaa" "a" "" -1}}`, "bba bbb -a-b- "},
		{`{{with json (getv "/json")}}{{index .a.b 1}} {{.big}} {{.missing}}{{end}}`, "2.5 1.2345678901234567e+19 <no value>"},
		{`{{range jsonArray (getv "/arr")}}{{.}};{{end}} {{json "null"}} {{len (jsonArray "[]")}}`, "x;1;<no value>; map[] 0"},
		{`{{$m := map "a" 1 "b" "x"}}{{$m.a}}{{$m.b}} {{len map}} {{map "k" (ls "/a")}}`, "1x 0 map[k:[b d e]]"},
		{`{{getenv "SET"}} {{getenv "EMPTY" "d"}} {{getenv "NO" "d"}} [{{getenv "NO"}}] {{getenv "SET" "d"}}`, "value d d [] value"},
		{`{{datetime.Year}} {{datetime.Format "15:04"}} {{datetime}}`, "2026 03:04 2026-01-02 03:04:05 +0000 UTC"},
		{`{{base64Encode "hi"}} {{base64Decode "aGk="}}`, "aGk= hi"},
		{`{{parseBool "T"}} {{parseBool "0"}} {{atoi "-3"}} {{atoi (getv "/n")}}`, "true false -3 7"},
		{`{{reverse (split "a,b,c" ",")}} {{$l := ls "/a"}}{{$r := reverse $l}}{{$l}} {{reverse 5}}`, "[c b a] [e d b] 5"},
		{`{{range reverse (gets "/up/*")}}{{.Value}}{{end}} {{range reverse (sortKVByLength (gets "/up/*"))}}{{.Value}}{{end}}`, "zyx xyz"},
		{`{{sortByLength (split "ccc,a,bb" ",")}} {{range sortKVByLength (gets "/*")}}{{.Key}}{{end}}`, "[a bb ccc] /n/arr/top/json/trail"},
		{`{{add 1 2}} {{sub 1 2}} {{mul 3 4}} {{div -7 2}} {{mod -7 3}}`, "3 -1 12 -3 -1"},
		{`{{seq 1 3}} {{seq 3 1}} {{seq 2 2}}`, "[1 2 3] [] [2]"},
		{`{{.}} {{.foo}} {{print 1 2 "a"}} {{printf "%02d-%q" 5 "x"}} {{println "a"}}{{html "<"}}{{js "'"}}{{urlquery "a b"}}`, "<no value> <no value> 1 2a 05-\"x\" a\n&lt;\\'a+b"},
		{`{{define "x"}}[{{.}}]{{end}}{{template "x" getv "/top"}}{{template "t2"}}{{define "t2"}}!{{end}}`, "[1]!"},
		{`{{range $i, $e := seq 1 9}}{{if eq $e 3}}{{continue}}{{end}}{{if gt $e 4}}{{break}}{{end}}{{$e}}{{else}}none{{end}}`, "124"},
		{`{{range gets "/no/*"}}x{{else}}none{{end}}{{- /* c */ -}}  {{if exists "/top"}}y{{end}}`, "noney"},
	}
	for _, tt := range tests {
		got, err := renderText(t, tt.text, kv)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.text, diff)
		}
	}
}

func TestFunctionErrors(t *testing.T) {
	kv := snapshot{"/top": "1", "/n": "x"}
	tests := []struct{ text, want string }{
		{`{{get "/no"}}`, "key does not exist: /no"},
		{`{{with get "/no"}}{{else}}never{{end}}`, "key does not exist: /no"},
		{`{{getv "/no"}}`, "key does not exist: /no"},
		{`{{gets "/[a"}}`, `syntax error in pattern: "/[a"`},
		{`{{getvs "/[a"}}`, "syntax error in pattern"},
		{`{{json "[]"}}`, "cannot unmarshal array"},
		{`{{jsonArray "{}"}}`, "cannot unmarshal object"},
		{`{{map "a"}}`, "invalid map call"},
		{`{{map 1 2}}`, "map keys must be strings"},
		{`{{base64Decode "aGk"}}`, "illegal base64"},
		{`{{parseBool "yes"}}`, "invalid syntax"},
		{`{{atoi (getv "/n")}}`, `parsing "x": invalid syntax`},
		{`{{div 1 0}}`, "division by zero"},
		{`{{mod 1 0}}`, "division by zero"},
		{`{{add (getv "/top") 1}}`, "expected int"},
		{`{{join (gets "/*") ","}}`, "wrong type"},
		{`{{replace "a" "b" "c"}}`, "wrong number of args"},
		{`{{index (ls "/") 9}}`, "out of range"},
		{`{{template "none"}}`, "not defined"},
		{`{{seq 1 2000000}}`, "more than"},
		{`{{seq -9223372036854775807 9223372036854775807}}`, "more than"},
		{`{{$s := replace (printf "%1048576d" 1) " " "xx" -1}}{{replace $s "x" (print $s) -1}}`, "more than"},
		{`{{split (printf "%999999d%999999d" 1 1) ""}}`, "more than"},
		{`{{$s := "xx"}}{{range seq 1 100}}{{$s = print $s $s}}{{end}}`, "more than"},
		{`{{$m := map "a" "b"}}{{range seq 1 100}}{{$m = map "a" $m "b" $m}}{{end}}{{$m}}`, "more than"},
		{`{{$m := map "a" "b"}}{{range seq 1 2000}}{{$m = map "a" $m}}{{end}}{{$m}}`, "nested more than"},
	}
	for _, tt := range tests {
		got, err := renderText(t, tt.text, kv)
		if err == nil {
			t.Errorf("%s: no error but %q", tt.text, got)
		} else if !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %q does not say %q", tt.text, err, tt.want)
		}
	}
	if got, err := renderText(t, `{{gets "/[a"}}`, snapshot{}); err != nil || got != "[]" {
		t.Errorf("a bad pattern on an empty store: %q, %v", got, err)
	}
}

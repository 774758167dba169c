package template

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// document is one TOML file of conf.d.
type document struct {
	Template *templateTable `toml:"template"`
	Profile  *profileTable  `toml:"profile"`
	Backend  map[string]any `toml:"backend"` // of confd's fork
}

// position of a key in its file; the zero value is the file as a whole.
type position struct{ line, column int }

// decode reads one file of conf.d. What could be read is there even when there
// are problems, so that a broken file can still be told the profile it is of.
func decode(name string, data []byte) (document, map[string]position, []Problem) {
	var doc document
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // as confd's library does
	err := toml.NewDecoder(strings.NewReader(string(data))).DisallowUnknownFields().Decode(&doc)

	var unknown *toml.StrictMissingError
	var bad *toml.DecodeError
	switch {
	case err == nil:
		return doc, positions(data), nil
	case errors.As(err, &unknown):
		problems := make([]Problem, 0, len(unknown.Errors))
		for i := range unknown.Errors {
			problems = append(problems, unknownKey(name, &unknown.Errors[i], doc.Profile == nil))
		}
		return doc, positions(data), problems
	case errors.As(err, &bad):
		line, column := bad.Position()
		return doc, nil, []Problem{{File: name, Line: line, Column: column, Message: plainMessage(bad)}}
	}
	return doc, nil, []Problem{{File: name, Message: err.Error()}}
}

// plainMessage is the decoder's message without the names of Go types.
func plainMessage(e *toml.DecodeError) string {
	message := strings.TrimPrefix(e.Error(), "toml: ")
	rest, ok := strings.CutPrefix(message, "cannot decode TOML ")
	if kind, _, into := strings.Cut(rest, " into "); ok && into {
		return fmt.Sprintf("the value of %s cannot be of type %s%s", strings.Join(e.Key(), "."), kind, slip(e.Key(), kind))
	}
	if strings.Contains(message, "leading zero") {
		message += `; a mode stands in quotes: mode = "0644"`
	}
	return message
}

// slip is what to write instead of a value of another type that people take for the right one.
func slip(key []string, kind string) string {
	switch last := strings.ToLower(key[len(key)-1]); {
	case last == "mode" && kind == "integer":
		return `; it stands in quotes: "0644"`
	case last == "keys" && kind == "string":
		return `; it is a list: ["/key"]`
	case last == "uid" && kind == "string":
		return "; a user's name is for owner"
	case last == "gid" && kind == "string":
		return "; a group's name is for group"
	}
	return ""
}

// unknownKey is an error in a file written for podreload. In a plain confd
// file it is a warning: confd ignores such keys, so trees in use have them.
func unknownKey(file string, e *toml.DecodeError, plain bool) Problem {
	key := e.Key()
	last := key[len(key)-1]
	known := keysOf(document{})
	where := ""
	if len(key) > 1 {
		where = " in [" + strings.Join(key[:len(key)-1], ".") + "]"
		switch strings.ToLower(key[0]) {
		case "template":
			known = keysOf(templateTable{})
		case "profile":
			known = keysOf(profileTable{})
		}
	}
	hint := didYouMean(last, known)
	p := Problem{File: file, Message: fmt.Sprintf("unknown key %q%s%s", last, where, hint)}
	p.Line, p.Column = e.Position()
	if plain {
		p.Warning = true
		p.Message += "; ignored, as confd does"
	}
	return p
}

// positions finds where the keys of the two tables stand, by lower-case dotted
// name, so that a bad value is reported with its line.
func positions(data []byte) map[string]position {
	found := map[string]position{}
	var p unstable.Parser
	p.Reset(data)
	var table []string
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = record(found, &p, nil, e)
		case unstable.KeyValue:
			recordValue(found, &p, table, e)
		}
	}
	return found
}

// recordValue records a key and, when its value is an inline table, the keys
// in that. The parser bounds how deep these can be nested.
func recordValue(found map[string]position, p *unstable.Parser, table []string, e *unstable.Node) {
	name := record(found, p, table, e)
	if v := e.Value(); v.Kind == unstable.InlineTable {
		for it := v.Children(); it.Next(); {
			recordValue(found, p, name, it.Node())
		}
	}
}

func record(found map[string]position, p *unstable.Parser, table []string, e *unstable.Node) []string {
	name := slices.Clone(table)
	var at position
	for it := e.Key(); it.Next(); {
		name = append(name, strings.ToLower(string(it.Node().Data)))
		if at.line == 0 {
			start := p.Shape(it.Node().Raw).Start
			at = position{start.Line, start.Column}
		}
	}
	found[strings.Join(name, ".")] = at
	return name
}

// keyPosition is the position of a key, or of the nearest table it would stand in.
func keyPosition(found map[string]position, key string) position {
	if at, ok := found[key]; ok {
		return at
	}
	for key != "" {
		key = key[:max(strings.LastIndexByte(key, '.'), 0)]
		if at, ok := found[key]; ok {
			return at
		}
	}
	return position{}
}

// sortedKeys are the keys of a set, sorted.
func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}

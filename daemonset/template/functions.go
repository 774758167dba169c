package template

import (
	"encoding/base64"
	"errors"
	"fmt"
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"
	texttemplate "text/template"
	"unicode/utf8"
)

// pure are the functions that need neither snapshot nor facts: confd's, and what
// its fork added.
var pure = texttemplate.FuncMap{
	"base":           path.Base,
	"dir":            path.Dir,
	"split":          split,
	"join":           join,
	"toUpper":        strings.ToUpper,
	"toLower":        strings.ToLower,
	"contains":       strings.Contains,
	"trimSuffix":     strings.TrimSuffix,
	"replace":        replace,
	"json":           jsonObject,
	"jsonArray":      jsonArray,
	"map":            newMap,
	"base64Encode":   func(s string) (string, error) { return bounded(base64.StdEncoding.EncodeToString([]byte(s))) },
	"base64Decode":   base64Decode,
	"parseBool":      strconv.ParseBool,
	"atoi":           strconv.Atoi,
	"reverse":        reverse,
	"sortByLength":   sortByLength,
	"sortKVByLength": sortKVByLength,
	"add":            func(a, b int) int { return a + b },
	"sub":            func(a, b int) int { return a - b },
	"mul":            func(a, b int) int { return a * b },
	"div":            div,
	"mod":            mod,
	"seq":            seq,

	"default":      defaultTo,
	"ternary":      ternary,
	"coalesce":     coalesce,
	"empty":        empty,
	"toJson":       toJSON,
	"toPrettyJson": toPrettyJSON,
	"fromJson":     fromJSON,
	"indent":       indent,
	"nindent":      nindent,
	"quote":        quote,
	"squote":       squote,
	"trimPrefix":   strings.TrimPrefix,
	"repeat":       repeat,
	"nospace":      nospace,
	"snakecase":    snakecase,
	"camelcase":    camelcase,
	"kebabcase":    kebabcase,
	"dict":         newMap,
	"list":         newList,
	"hasKey":       hasKey,
	"keys":         keysOfMap,
	"values":       valuesOf,
	"pluck":        pluck,
	"sha256sum":    sha256sum,
}

// printers are text/template's own functions that make strings, with a bound on
// their length.
var printers = texttemplate.FuncMap{
	"print":    boundedPrint(fmt.Sprint),
	"println":  boundedPrint(fmt.Sprintln),
	"printf":   boundedPrintf,
	"html":     boundedPrint(texttemplate.HTMLEscaper),
	"js":       boundedPrint(texttemplate.JSEscaper),
	"urlquery": boundedPrint(texttemplate.URLQueryEscaper),
}

// crypt are functions that confd itself dropped after v0.16.
var crypt = []string{"cget", "cgets", "cgetv", "cgetvs"}

// boundedPrint looks at the size before and after: a loop that doubles a string
// must end long before the memory does.
func boundedPrint(print func(...any) string) func(...any) (string, error) {
	return func(values ...any) (string, error) {
		if _, err := size(values...); err != nil {
			return "", err
		}
		return bounded(print(values...))
	}
}

func split(s, sep string) ([]string, error) {
	n := strings.Count(s, sep)
	if sep == "" {
		n = utf8.RuneCountInString(s)
	}
	if n >= maxList {
		return nil, fmt.Errorf("more than %d parts", maxList)
	}
	return strings.Split(s, sep), nil
}

func join(list []string, sep string) (string, error) {
	n := 0
	for _, s := range list {
		if n += len(s) + len(sep); n-len(sep) > maxString {
			return "", checkSize(n)
		}
	}
	return strings.Join(list, sep), nil
}

func replace(s, old, new string, n int) (string, error) {
	count := strings.Count(s, old)
	if n >= 0 {
		count = min(count, n)
	}
	if err := checkSize(len(s) + count*(len(new)-len(old))); err != nil {
		return "", err
	}
	return strings.Replace(s, old, new, n), nil
}

// newMap is `map`: keys and values in turn.
func newMap(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, errors.New("invalid map call: a key without a value")
	}
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		key, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("map keys must be strings, not %T", pairs[i])
		}
		m[key] = pairs[i+1]
	}
	if _, err := size(m); err != nil {
		return nil, err
	}
	return m, nil
}

func base64Decode(s string) (string, error) {
	b, err := base64.StdEncoding.DecodeString(s)
	return string(b), err
}

// reverse turns its argument round in place, as confd does: a variable that
// holds the list sees it. Other types, the result of gets among them, come
// back as they are.
func reverse(v any) any {
	switch list := v.(type) {
	case []string:
		slices.Reverse(list)
	case []KVPair:
		slices.Reverse(list)
	}
	return v
}

// sortByLength is in place and, as in confd, not stable; sort.Sort is used so
// that equal lengths come out in the order that they do in a confd built with Go 1.19
// or later, as its fork is. The older sort.Sort, which confd 0.16.0 of 2018 has,
// orders seven elements and more otherwise.
func sortByLength(list []string) []string {
	sort.Sort(byLength[string]{list, func(s string) int { return len(s) }})
	return list
}

func sortKVByLength(list []KVPair) []KVPair {
	sort.Sort(byLength[KVPair]{list, func(p KVPair) int { return len(p.Key) }})
	return list
}

type byLength[T any] struct {
	list   []T
	length func(T) int
}

func (s byLength[T]) Len() int           { return len(s.list) }
func (s byLength[T]) Less(i, j int) bool { return s.length(s.list[i]) < s.length(s.list[j]) }
func (s byLength[T]) Swap(i, j int)      { s.list[i], s.list[j] = s.list[j], s.list[i] }

var errZero = errors.New("division by zero")

func div(a, b int) (int, error) {
	if b == 0 {
		return 0, errZero
	}
	return a / b, nil
}

func mod(a, b int) (int, error) {
	if b == 0 {
		return 0, errZero
	}
	return a % b, nil
}

// seq counts upwards from first to last; it is empty when last is less.
func seq(first, last int) ([]int, error) {
	if last < first {
		return nil, nil
	}
	n := uint(last) - uint(first) // the true distance, also when it overflows an int
	if n >= maxList {
		return nil, fmt.Errorf("more than %d numbers", maxList)
	}
	list := make([]int, n+1)
	for i := range list {
		list[i] = first + i
	}
	return list, nil
}

package template

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// The functions here and in collections.go and json.go are those that confd's
// living fork added. Order and type of their arguments are the fork's, which are
// not always sprig's.

var errNegative = errors.New("a count below zero")

func repeat(n int, s string) (string, error) {
	if err := checkRepeat(n, len(s)); err != nil {
		return "", err
	}
	return strings.Repeat(s, n), nil
}

// checkRepeat looks at n times size bytes without computing what may overflow.
func checkRepeat(n, size int) error {
	switch {
	case n < 0:
		return errNegative
	case n > 0 && size > maxString/n:
		return errTooMuch
	}
	return nil
}

// indent puts n spaces before each line, empty ones too; of an empty text it
// makes nothing.
func indent(n int, s string) (string, error) {
	if err := checkRepeat(n, strings.Count(s, "\n")+1); err != nil {
		return "", err
	}
	if s == "" {
		return "", nil
	}
	pad := strings.Repeat(" ", n)
	return bounded(pad + strings.ReplaceAll(s, "\n", "\n"+pad))
}

func nindent(n int, s string) (string, error) {
	s, err := indent(n, s)
	return "\n" + s, err
}

func quote(s string) (string, error) { return bounded(strconv.Quote(s)) }

// squote is a string as YAML and SQL take it: a single quote inside is doubled.
func squote(s string) (string, error) {
	return bounded("'" + strings.ReplaceAll(s, "'", "''") + "'")
}

func nospace(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, s)
}

func sha256sum(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func snakecase(s string) (string, error) { return lowerWords(s, "_") }
func kebabcase(s string) (string, error) { return lowerWords(s, "-") }

func lowerWords(s, sep string) (string, error) {
	list, err := words(s)
	if err != nil {
		return "", err
	}
	return bounded(strings.ToLower(strings.Join(list, sep)))
}

// camelcase begins with a lower-case word: httpServer.
func camelcase(s string) (string, error) {
	list, err := words(s)
	if err != nil {
		return "", err
	}
	for i, w := range list {
		w = strings.ToLower(w)
		if i > 0 {
			first := []rune(w)
			first[0] = unicode.ToUpper(first[0])
			w = string(first)
		}
		list[i] = w
	}
	return bounded(strings.Join(list, ""))
}

// words cuts at "_", "-" and space, before a capital that follows another
// letter or a digit, and before the last capital of several in a row when a
// small letter follows: HTTPServer is HTTP and Server.
func words(s string) ([]string, error) {
	var list []string
	runes := []rune(s)
	start := 0
	cut := func(end int) {
		if end > start {
			list = append(list, string(runes[start:end]))
		}
		start = end
	}
	for i, r := range runes {
		switch {
		case r == '_' || r == '-' || unicode.IsSpace(r):
			cut(i)
			start = i + 1
		case i > start && unicode.IsUpper(r):
			if !unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]) {
				cut(i)
			}
		}
	}
	cut(len(runes))
	if len(list) > maxList {
		return nil, fmt.Errorf("more than %d words", maxList)
	}
	return list, nil
}

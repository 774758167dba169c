package agent

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/podreload/podreload/daemonset/facts"
)

// answers are what name servers have said to the templates of one target, by question. They are looked up at
// each look, where confd asks only when a key has changed: a name server that is away for a moment must not take
// servers out of what is in place.
type answers struct {
	last map[string]json.RawMessage // what its files were made with before
	now  map[string]json.RawMessage
	size int
}

// maxAnswers bounds what is kept of them, in bytes. What is beyond is not.
const maxAnswers = 256 << 10

// answered is what name servers say, or what they said last where none has an answer. One that has never had one is the
// same as one that knows no such name, as in confd.
func answered[T any](a *answers, question string, list []T, err error) ([]T, error) {
	switch {
	case err == nil:
		b, err := json.Marshal(list)
		if err != nil {
			return nil, err
		}
		a.keep(question, b)
	case errors.Is(err, facts.ErrNoAnswer):
		last, known := a.last[question]
		if !known {
			return nil, nil
		}
		a.keep(question, last)
		err = json.Unmarshal(last, &list)
		return list, err
	}
	return list, err
}

// whole adds to the addresses of one kind those of the other that there were last, as name servers had an answer as to
// the one alone.
func (a *answers) whole(question string, half []string) []string {
	var last []string
	if err := json.Unmarshal(a.last[question], &last); err != nil {
		return half // it was never asked
	}
	isIPv6 := func(addr string) bool { return strings.Contains(addr, ":") }
	other := slices.DeleteFunc(last, func(addr string) bool { return isIPv6(addr) == isIPv6(half[0]) })
	return slices.Concat(half, other)
}

func (a *answers) keep(question string, answer json.RawMessage) {
	if _, known := a.now[question]; known || a.size+len(question)+len(answer) > maxAnswers {
		return
	}
	if a.now == nil {
		a.now = make(map[string]json.RawMessage)
	}
	a.now[question] = answer
	a.size += len(question) + len(answer)
}

package template

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

func jsonObject(s string) (v map[string]any, err error) {
	err = unmarshal(s, &v)
	return v, err
}

func jsonArray(s string) (v []any, err error) {
	err = unmarshal(s, &v)
	return v, err
}

func fromJSON(s string) (v any, err error) {
	err = unmarshal(s, &v)
	return v, err
}

// unmarshal refuses what would take far more memory than its text: two bytes are
// an element. How deep it may be nested encoding/json bounds.
func unmarshal(s string, into any) error {
	if strings.Count(s, ",")+strings.Count(s, "[")+strings.Count(s, "{") > maxList {
		return fmt.Errorf("more than %d elements", maxList)
	}
	return json.Unmarshal([]byte(s), into)
}

// toJSON escapes <, > and &, as encoding/json does unless told otherwise.
func toJSON(value any) (string, error) {
	b, err := marshal(value)
	return string(b), err
}

func marshal(value any) ([]byte, error) {
	if _, err := size(value); err != nil {
		return nil, err
	}
	b, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	return b, checkSize(len(b))
}

func toPrettyJSON(value any) (string, error) {
	compact, err := marshal(value)
	if err != nil {
		return "", err
	}
	if err := checkSize(prettySize(compact)); err != nil {
		return "", err
	}
	var out bytes.Buffer
	err = json.Indent(&out, compact, "", "  ")
	return out.String(), err
}

// prettySize is at least how long compact JSON becomes by indentation: a line
// for each element costs two bytes for each level that it stands at, which is
// much for what is nested deeply. It stops where that is too much.
func prettySize(compact []byte) int {
	n, depth, quoted := len(compact), 0, false
	for i := 0; i < len(compact) && n <= maxString; i++ {
		switch c := compact[i]; {
		case c == '\\':
			i++ // only in strings
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
			n += 1 + 2*depth
		case c == '}' || c == ']':
			depth--
			n += 1 + 2*depth
		case c == ',':
			n += 1 + 2*depth
		case c == ':':
			n++
		}
	}
	return n
}

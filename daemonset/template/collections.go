package template

import (
	"fmt"
	"reflect"
	"unsafe"
)

// empty says whether a value counts for nothing: nil, "", 0, false, or without
// elements.
func empty(value any) bool {
	if value == nil {
		return true
	}
	switch v := reflect.ValueOf(value); v.Kind() {
	case reflect.String, reflect.Array, reflect.Slice, reflect.Map:
		return v.Len() == 0
	case reflect.Struct, reflect.Func, reflect.Chan, reflect.UnsafePointer:
		return false
	default:
		return v.IsZero()
	}
}

func defaultTo(def, value any) any {
	if empty(value) {
		return def
	}
	return value
}

func ternary(yes, no any, condition bool) any {
	if condition {
		return yes
	}
	return no
}

// coalesce is the first value that is not empty, else nil.
func coalesce(values ...any) any {
	for _, v := range values {
		if !empty(v) {
			return v
		}
	}
	return nil
}

func newList(values ...any) ([]any, error) {
	if _, err := size(values); err != nil {
		return nil, err
	}
	return values, nil
}

func hasKey(m map[string]any, key string) bool {
	_, ok := m[key]
	return ok
}

func keysOfMap(m map[string]any) []string {
	return append([]string{}, sortedKeys(m)...)
}

func valuesOf(m map[string]any) []any {
	values := make([]any, 0, len(m))
	for _, key := range sortedKeys(m) {
		values = append(values, m[key])
	}
	return values
}

// pluck is what the maps have under key, in their order; those without it are
// left out.
func pluck(key string, maps ...map[string]any) ([]any, error) {
	var found []any
	for _, m := range maps {
		if v, ok := m[key]; ok {
			found = append(found, v)
		}
	}
	if _, err := size(found); err != nil {
		return nil, err
	}
	return found, nil
}

// tail is the list that append made last, and its size. Who goes on appending
// to that one, as loops do, pays for the new element only; any other list is
// copied, so that two that grew out of one never share what follows.
type tail struct {
	list  []any
	size  int
	depth int
}

func (t *tail) append(list []any, value any) ([]any, error) {
	if len(list) >= maxList {
		return nil, fmt.Errorf("more than %d elements", maxList)
	}
	n, depth, err := measure(value)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 || len(list) != len(t.list) || unsafe.SliceData(list) != unsafe.SliceData(t.list) {
		t.list = append(make([]any, 0, 2*len(list)+1), list...)
		if t.size, t.depth, err = measure(t.list); err != nil {
			return nil, err
		}
	}
	t.size, t.depth = t.size+n, max(t.depth, depth+1)
	if t.depth > maxLevels {
		return nil, errTooNested
	}
	if err := checkSize(t.size); err != nil {
		return nil, err
	}
	t.list = append(t.list, value)
	return t.list, nil
}

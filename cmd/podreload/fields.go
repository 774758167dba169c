package main

import (
	"reflect"
	"strings"
	"time"
)

// withFields adds to what the JSON of v was decoded to those of its fields that the encoding left out as
// empty: a template can ask for all that a type has, and for what it has not is told that it is misspelt.
func withFields(v reflect.Value, decoded any) {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	switch decoded := decoded.(type) {
	case []any:
		for i, element := range decoded {
			withFields(v.Index(i), element)
		}
	case map[string]any:
		if v.Kind() != reflect.Struct {
			return // a map has what it has
		}
		for _, f := range reflect.VisibleFields(v.Type()) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "" || name == "-" {
				continue // not in JSON, or embedded: its fields come by themselves
			}
			if inner, there := decoded[name]; there {
				withFields(v.FieldByIndex(f.Index), inner)
			} else {
				decoded[name] = empty(f.Type)
			}
		}
	}
}

// empty is how a template sees nothing of a type.
func empty(t reflect.Type) any {
	switch {
	case t == reflect.TypeFor[time.Time](), t.Kind() == reflect.String:
		return ""
	case t.Kind() == reflect.Bool:
		return false
	case t.Kind() == reflect.Slice:
		return []any{}
	case t.Kind() == reflect.Map:
		return map[string]any{}
	case t.Kind() == reflect.Struct:
		fields := map[string]any{}
		withFields(reflect.Zero(t), fields)
		return fields
	case reflect.Zero(t).CanInt(), reflect.Zero(t).CanUint(), reflect.Zero(t).CanFloat():
		return 0
	}
	return nil
}

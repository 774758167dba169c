package template

import texttemplate "text/template"

// heavy are the functions that make much of little, or take long over much. In
// a template they look at the budget before they work: a thousand of them can
// stand in one action, in which no mark is printed.
func (e *execution) heavy() texttemplate.FuncMap {
	m := texttemplate.FuncMap{
		"fromJson":       ticked1(e, fromJSON),
		"indent":         ticked2(e, indent),
		"join":           ticked2(e, join),
		"json":           ticked1(e, jsonObject),
		"jsonArray":      ticked1(e, jsonArray),
		"nindent":        ticked2(e, nindent),
		"printf":         ticked1v(e, boundedPrintf),
		"quote":          ticked1(e, quote),
		"repeat":         ticked2(e, repeat),
		"seq":            ticked2(e, seq),
		"sha256sum":      ticked1(e, func(s string) (string, error) { return sha256sum(s), nil }),
		"sortByLength":   ticked1(e, func(l []string) ([]string, error) { return sortByLength(l), nil }),
		"sortKVByLength": ticked1(e, func(l []KVPair) ([]KVPair, error) { return sortKVByLength(l), nil }),
		"split":          ticked2(e, split),
		"squote":         ticked1(e, squote),
		"toJson":         ticked1(e, toJSON),
		"toPrettyJson":   ticked1(e, toPrettyJSON),
		"replace": func(s, old, new string, n int) (string, error) {
			if err := e.tick(0); err != nil {
				return "", err
			}
			return replace(s, old, new, n)
		},
	}
	for name, print := range printers {
		if print, ok := print.(func(...any) (string, error)); ok {
			m[name] = func(values ...any) (string, error) {
				if err := e.tick(0); err != nil {
					return "", err
				}
				return print(values...)
			}
		}
	}
	return m
}

func ticked1[A, R any](e *execution, f func(A) (R, error)) func(A) (R, error) {
	return func(a A) (r R, err error) {
		if err := e.tick(0); err != nil {
			return r, err
		}
		return f(a)
	}
}

func ticked2[A, B, R any](e *execution, f func(A, B) (R, error)) func(A, B) (R, error) {
	return func(a A, b B) (r R, err error) {
		if err := e.tick(0); err != nil {
			return r, err
		}
		return f(a, b)
	}
}

func ticked1v[A, B, R any](e *execution, f func(A, ...B) (R, error)) func(A, ...B) (R, error) {
	return func(a A, b ...B) (r R, err error) {
		if err := e.tick(0); err != nil {
			return r, err
		}
		return f(a, b...)
	}
}

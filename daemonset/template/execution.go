package template

import (
	"maps"
	texttemplate "text/template"
	"time"
)

// session is one render of a profile: what its files share.
type session struct {
	facts   Facts
	asked   Asked
	answers map[question]answer
	regexps map[string]*expression
}

// execution is the render of one file: what the functions of its template, and
// of those that this one includes, are bound to.
type execution struct {
	*session
	store *store
	budget

	bound   texttemplate.FuncMap
	library *library
	ready   map[string]*texttemplate.Template // what was included, bound to this execution
	open    []string                          // the includes that are under way
	tail    tail
}

func (s *session) execution(kv KV, r *Resource) *execution {
	e := &execution{session: s, store: newStore(kv, r), budget: newBudget(r.limits), library: r.library}
	e.bound = e.functions()
	maps.Copy(e.bound, e.heavy())
	return e
}

// execute runs a template whose functions are bound. About expect bytes come out.
func (b *budget) execute(t *texttemplate.Template, limit, expect int, dot any) ([]byte, error) {
	out := &output{limit: limit, budget: b}
	if expect > 0 {
		out.data = make([]byte, 0, min(expect, limit))
	}
	err := t.Execute(out, dot)
	return out.data, err
}

// bind gives a parsed template the functions of this execution. A clone shares
// the parsed trees and costs some microseconds.
func (e *execution) bind(t *texttemplate.Template) (*texttemplate.Template, error) {
	t, err := t.Clone()
	if err != nil {
		return nil, err
	}
	return t.Funcs(e.bound), nil
}

func (e *execution) functions() texttemplate.FuncMap {
	return texttemplate.FuncMap{
		"exists": func(key string) bool { return e.store.exists(key) },
		"get":    func(key string) (KVPair, error) { return e.store.get(key) },
		"getv":   func(key string, v ...string) (string, error) { return e.store.getv(key, v...) },
		"gets":   func(pattern string) (KVPairs, error) { return inTime(e, pattern, e.store.gets) },
		"getvs":  func(pattern string) ([]string, error) { return inTime(e, pattern, e.store.getvs) },
		"ls":     func(dir string) ([]string, error) { return inTime(e, dir, e.store.ls) },
		"lsdir":  func(dir string) ([]string, error) { return inTime(e, dir, e.store.lsdir) },

		"getenv":   e.getenv,
		"datetime": e.datetime,
		"hostname": e.hostname,

		"label":      e.podValue("label"),
		"annotation": e.podValue("annotation"),
		"pod":        e.podName("pod"),
		"namespace":  e.podName("namespace"),
		"container":  e.podName("container"),
		"node":       e.podName("node"),

		"fileExists":      e.fileExists,
		"lookupIP":        e.lookupIP,
		"lookupIPV4":      e.lookupIPV4,
		"lookupIPV6":      e.lookupIPV6,
		"lookupSRV":       e.lookupSRV,
		"lookupIfaceIPV4": e.lookupIfaceIPV4,
		"lookupIfaceIPV6": e.lookupIfaceIPV6,

		"include":         e.include,
		"append":          e.tail.append,
		"regexMatch":      e.regexMatch,
		"regexFind":       e.regexFind,
		"regexReplaceAll": e.regexReplaceAll,
	}
}

// inTime calls one of the functions that walk the store, unless the time is
// over: a template without any range can call many of them.
func inTime[T any](e *execution, arg string, call func(string) (T, error)) (result T, err error) {
	if err := e.tick(0); err != nil {
		return result, err
	}
	return call(arg)
}

// newBudget begins to count.
func newBudget(l limits) budget {
	now := time.Now()
	return budget{deadline: now.Add(l.time), held: held{limit: uint64(l.memory), next: now.Add(firstLook)}}
}

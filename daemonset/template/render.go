package template

import (
	texttemplate "text/template"
	"time"

	"github.com/podreload/podreload/daemonset"
)

// limits bound the rendering of one file.
type limits struct {
	bytes int
	time  time.Duration
}

var defaultLimits = limits{bytes: 16 << 20, time: 10 * time.Second}

// Render makes all files of the profile, in the order of its resources. It
// returns all of them or an error: the profile's own when it has one, else a
// [RenderError]. The files belong to the caller.
func (p *Profile) Render(kv KV, facts Facts) ([]daemonset.File, error) {
	if p.Err != nil {
		return nil, p.Err
	}
	files := make([]daemonset.File, 0, len(p.Resources))
	for _, r := range p.Resources {
		data, err := r.render(kv, facts)
		if err != nil {
			return nil, renderError(p, r, err)
		}
		files = append(files, daemonset.File{
			Resource: r.Name, Path: r.Dest, Data: data,
			Mode: r.Mode, UID: r.UID, GID: r.GID,
			Mkdir: r.Mkdir, Sensitive: r.Sensitive,
		})
	}
	return files, nil
}

func (r *Resource) render(kv KV, facts Facts) ([]byte, error) {
	e := &execution{store: newStore(kv, r), facts: facts, budget: budget{deadline: time.Now().Add(r.limits.time)}}
	// A clone shares the parsed trees and costs some microseconds.
	t, err := r.tmpl.Clone()
	if err != nil {
		return nil, err
	}
	out := &output{limit: r.limits.bytes}
	// Dot is nil, as in confd.
	if err := t.Funcs(e.functions()).Execute(out, nil); err != nil {
		return nil, err
	}
	return out.data, nil
}

// execution is one run of one template: what its functions are bound to.
type execution struct {
	store *store
	facts Facts
	budget
}

func (e *execution) functions() texttemplate.FuncMap {
	m := texttemplate.FuncMap{
		"exists":   func(key string) bool { return e.store.exists(key) },
		"get":      func(key string) (KVPair, error) { return e.store.get(key) },
		"getv":     func(key string, v ...string) (string, error) { return e.store.getv(key, v...) },
		"gets":     func(pattern string) (KVPairs, error) { return inTime(e, pattern, e.store.gets) },
		"getvs":    func(pattern string) ([]string, error) { return inTime(e, pattern, e.store.getvs) },
		"ls":       func(dir string) ([]string, error) { return inTime(e, dir, e.store.ls) },
		"lsdir":    func(dir string) ([]string, error) { return inTime(e, dir, e.store.lsdir) },
		"getenv":   e.getenv,
		"datetime": e.datetime,
	}
	if e.store != nil {
		m[tickFunc], m[enterFunc], m[leaveFunc] = e.tick, e.enter, e.leave
	}
	return m
}

// getenv takes the default also for a variable that is set but empty.
func (e *execution) getenv(name string, defaults ...string) string {
	if v := e.facts.Env[name]; v != "" || len(defaults) == 0 {
		return v
	}
	return defaults[0]
}

func (e *execution) datetime() time.Time {
	if e.facts.Now != nil {
		return e.facts.Now()
	}
	return time.Now()
}

// inTime calls one of the functions that walk the store, unless the time is
// over: a template without any range can call many of them.
func inTime[T any](e *execution, arg string, call func(string) (T, error)) (result T, err error) {
	if _, err := e.tick(0); err != nil {
		return result, err
	}
	return call(arg)
}

package template

import (
	"bytes"
	"time"

	"github.com/podreload/podreload/daemonset"
)

// limits bound the rendering of one file.
type limits struct {
	bytes  int
	time   time.Duration
	memory int // held at once
}

var defaultLimits = limits{bytes: 16 << 20, time: 10 * time.Second, memory: maxHeld}

// Rendered is what a profile comes to for one target.
type Rendered struct {
	Files []daemonset.File // in the order of the resources; they belong to the caller, but for what Data holds
	Asked Asked            // what they depend on besides the snapshot
	Parts Parts            // what of them can be used again
}

// Render makes all files, or none and a [RenderError].
func (b *Bound) Render(kv KV, facts Facts) (*Rendered, error) {
	return b.RenderWith(kv, facts, Parts{})
}

// RenderWith is Render where parts of an earlier one hold for kv: what they have is not made anew.
func (b *Bound) RenderWith(kv KV, facts Facts, parts Parts) (*Rendered, error) {
	s := &session{facts: facts}
	var asked Asked // by those before
	out := &Rendered{Files: make([]daemonset.File, 0, len(b.Resources)), Parts: Parts{plain: kv.Plain()}}
	for i, r := range b.Resources {
		made, ok := parts.of(i)
		data := made.data
		if !ok {
			var err error
			from := newReads(kv)
			s.asked = Asked{}
			data, err = s.render(from, r)
			if err == nil {
				err = r.checkFormat(data)
			}
			made = from.part(data, s.asked)
			asked = asked.or(s.asked)
			if err != nil {
				return nil, renderError(b.Profile, r, err, asked)
			}
		}
		out.Parts.parts = append(out.Parts.parts, made)
		file := daemonset.File{
			Resource: r.Name, Path: r.Dest, Data: data,
			Mode: r.Mode, UID: r.UID, GID: r.GID,
			Mkdir: r.Mkdir, Sensitive: r.Sensitive, Remove: r.Remove,
		}
		if r.UID == nil {
			file.Owner = r.Owner
		}
		if r.GID == nil {
			file.Group = r.Group
		}
		out.Files = append(out.Files, file)
	}
	out.Asked = asked
	return out, nil
}

// Render binds the profile and renders it.
func (p *Profile) Render(kv KV, facts Facts) ([]daemonset.File, error) {
	b, err := p.Bind(facts)
	if err != nil {
		return nil, err
	}
	rendered, err := b.Render(kv, facts)
	if err != nil {
		return nil, err
	}
	return rendered.Files, nil
}

func (s *session) render(kv KV, r *Resource) ([]byte, error) {
	e := s.execution(kv, r)
	t, err := e.bind(r.tmpl)
	if err != nil {
		return nil, err
	}
	expect := 0
	if r.size != nil {
		expect = int(r.size.Load())
	}
	data, err := e.execute(t, r.limits.bytes, expect, nil) // dot is nil, as in confd
	if r.size != nil && err == nil {
		r.size.Store(int64(len(data) + len(data)/16))
	}
	const spare = 4096
	if cap(data) > 2*len(data)+spare {
		data = bytes.Clone(data) // much less than the last time
	}
	return data, err
}

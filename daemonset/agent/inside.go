package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/facts"
	"github.com/podreload/podreload/daemonset/state"
	"github.com/podreload/podreload/daemonset/template"
	"github.com/podreload/podreload/nsenter"
)

// inside answers what templates ask of a running container, which is pinned when the first
// question comes: most templates ask none. Close lets it go.
type inside struct {
	ctx     context.Context // the pass's: templates have none to hand on
	applier *Applier
	target  daemonset.Target
	answers *answers
	init    *nsenter.Process
	facts   *facts.Facts
}

var _ template.Inside = (*inside)(nil)

func (i *inside) ask() (*facts.Facts, error) {
	if i.facts != nil {
		return i.facts, nil
	}
	init, err := pin(i.target.Container)
	if err != nil {
		return nil, err
	}
	i.init, i.facts = init, facts.Of(i.ctx, inTurn{i.applier, i.target.Profile}, init, i.target.Container)
	return i.facts, nil
}

// FileExists is that of [template.Inside], as are the others.
func (i *inside) FileExists(path string) (bool, error) {
	f, err := i.ask()
	if err != nil {
		return false, err
	}
	return f.FileExists(path)
}

// LookupIP resolves a host's name.
func (i *inside) LookupIP(host string) ([]string, error) {
	f, err := i.ask()
	if err != nil {
		return nil, err
	}
	question := "host " + host
	addrs, err := f.LookupIP(host)
	if len(addrs) > 0 && errors.Is(err, facts.ErrNoAnswer) {
		addrs, err = i.answers.whole(question, addrs), nil
	}
	slices.Sort(addrs) // name servers shuffle, and what is kept is written where it is another
	return answered(i.answers, question, addrs, err)
}

// LookupSRV looks up a service.
func (i *inside) LookupSRV(service, proto, name string) ([]*net.SRV, error) {
	f, err := i.ask()
	if err != nil {
		return nil, err
	}
	records, err := f.LookupSRV(service, proto, name)
	slices.SortFunc(records, func(a, b *net.SRV) int {
		return cmp.Or(cmp.Compare(a.Target, b.Target), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Weight, b.Weight))
	})
	return answered(i.answers, strings.Join([]string{"service", service, proto, name}, " "), records, err)
}

// InterfaceAddrs are the addresses of a network interface.
func (i *inside) InterfaceAddrs(name string) ([]string, error) {
	f, err := i.ask()
	if err != nil {
		return nil, err
	}
	return f.InterfaceAddrs(name)
}

func (i *inside) Close() {
	if i.init != nil {
		i.init.Close()
	}
}

// inTurn crosses when it is its profile's turn, within the applier's timeout.
type inTurn struct {
	*Applier
	profile string
}

// Cross is that of [facts.Crosser].
func (t inTurn) Cross(ctx context.Context, into, signal *nsenter.Process, request []byte) ([]byte, error) {
	done, err := t.turn(ctx, t.profile)
	if err != nil {
		return nil, err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	return t.Shim.Cross(ctx, into, signal, request)
}

// render makes the files of the job. What its templates were told goes to the record.
func (a *Applier) render(ctx context.Context, job Job, rec *state.Record) ([]daemonset.File, error) {
	defer a.phase("render")()
	in := &inside{ctx: ctx, applier: a, target: job.Target, answers: &answers{last: rec.Answers}}
	defer in.Close()
	files, err := job.render(in)
	if err == nil {
		rec.Answers = in.answers.now
	}
	return files, err
}

// named gives files the numbers of their owners, as the container that was pinned has them.
func (a *Applier) named(ctx context.Context, job Job, init *nsenter.Process, files []daemonset.File) ([]daemonset.File, error) {
	out := make([]daemonset.File, len(files))
	var f *facts.Facts
	for i, file := range files {
		out[i] = file
		for _, owner := range []struct {
			name string
			id   **uint32
			find func(*facts.Facts, string) (uint32, error)
		}{{file.Owner, &out[i].UID, (*facts.Facts).User}, {file.Group, &out[i].GID, (*facts.Facts).Group}} {
			if owner.name == "" {
				continue
			}
			if f == nil {
				f = facts.Of(ctx, inTurn{a, job.Target.Profile}, init, job.Target.Container)
			}
			id, err := owner.find(f, owner.name)
			if err != nil {
				return nil, failed(daemonset.Failed, fmt.Errorf("%s: %w", file.Resource, err))
			}
			*owner.id = &id
		}
	}
	return out, nil
}

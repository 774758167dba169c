package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/verify"
	"github.com/podreload/podreload/shim"
)

// Difference is one file, as it is inside and as it would be.
type Difference struct {
	File    daemonset.File
	Existed bool
	Changed bool   // content, mode or owner
	Inside  []byte // the content now; nil unless it was asked for
}

// Look renders the job's files and compares them, and those that would go (Absent), with
// what is inside. Nothing changes. With content it brings what is inside out, for a diff.
func (a *Applier) Look(ctx context.Context, job Job, content bool) ([]Difference, error) {
	if err := job.undecided(); err != nil {
		return nil, err
	}
	if err := supported(job); err != nil {
		return nil, err
	}
	rec := a.record(job.Target)
	want, err := a.wanted(ctx, job, &rec)
	if err != nil {
		return nil, err
	}
	files := want.all()
	init, err := pin(job.Target.Container)
	if err != nil {
		return nil, err
	}
	c := &crossing{profile: job.Target.Profile, init: init}
	defer c.Close()
	if files, err = a.named(ctx, job, init, files); err != nil {
		return nil, err
	}
	compared, err := a.cross(ctx, c, request(shim.Compare, files, job.Target.Container))
	if err != nil {
		return nil, err
	}
	var out []Difference
	for i, r := range compared.Files {
		d := Difference{File: files[i], Existed: r.Existed, Changed: r.Changed}
		if content && r.Changed && r.Existed && !d.File.Sensitive {
			inside, err := a.cross(ctx, c, request(shim.Read, files[i:i+1], job.Target.Container))
			if err != nil {
				return nil, err
			}
			d.Inside = inside.Files[0].Data
		}
		out = append(out, d)
	}
	return out, nil
}

// Render makes the files of a job. Nothing changes, and the container is entered only if
// a template asks what is inside.
func (a *Applier) Render(ctx context.Context, job Job) ([]daemonset.File, error) {
	if err := job.undecided(); err != nil {
		return nil, err
	}
	rec := a.record(job.Target)
	return a.render(ctx, job, &rec)
}

// Render makes the files of a job behind which there is no container.
func Render(_ context.Context, job Job) ([]daemonset.File, error) {
	if err := job.undecided(); err != nil {
		return nil, err
	}
	return job.render(nil)
}

// Signal sends one signal to the target's server and writes nothing. A reload
// signal of a preset is proved; of any other it is known only that it was
// sent. Only signals that the profile or its preset names are sent without
// force, since nginx catches TERM too, and a server that a bad configuration would
// end is signalled only if what is in place passes its check; a signal that the
// server does not catch is never sent. Zero means the signal that reloads.
func (a *Applier) Signal(ctx context.Context, job Job, signal syscall.Signal, force bool) (*daemonset.Process, error) {
	if err := job.undecided(); err != nil {
		return nil, err
	}
	unlock, err := a.lock(ctx, job.Target.Container.ID)
	if err != nil {
		return nil, err
	}
	defer unlock()
	p, held, err := a.Store.Paused(job.Target.Profile, job.Target.Container.String())
	switch {
	case err != nil:
		return nil, failed(daemonset.Failed, err)
	case held && !force:
		return nil, failed(daemonset.Paused, fmt.Errorf("%s is paused since %s by %s; --force signals all the same", p, p.Since.Format(time.RFC3339), p.By))
	}
	c, err := enter(ctx, job)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if c.server == nil {
		if c.waiting != nil {
			return nil, failed(daemonset.Waiting, c.waiting)
		}
		return nil, failed(daemonset.Invalid, fmt.Errorf("profile %s has neither process nor reload_signal: there is nobody to signal", job.profile().Name))
	}
	reload := signal == 0 || signal == c.signal
	if !reload {
		if err := c.choose(job, signal, force); err != nil {
			return nil, err
		}
	}
	if reload && !force && c.preset != nil && c.preset.Mandatory {
		// It ends when it reloads what it cannot take, which can be there by another's hand.
		trial, err := a.trial(job, c, nil)
		if err == nil {
			_, err = a.Checker.Check(ctx, trial)
		}
		if err != nil {
			return nil, checkError(err)
		}
	}
	var proof *verify.Proof
	if reload {
		if proof, err = c.before(); err != nil {
			return nil, err
		}
		if proof != nil {
			defer proof.Close()
		}
	}
	req := request(shim.Apply, nil, job.Target.Container)
	req.Signal, req.Always = int(c.signal), true
	if _, err := a.cross(ctx, c, req); err != nil {
		return nil, err
	}
	if proof != nil {
		err = a.prove(ctx, c, proof)
	}
	job.did = &deed{signal: verify.SignalName(c.signal)}
	a.account(job, a.record(job.Target))
	return c.process(), err
}

// choose takes another signal than the one that reloads.
func (c *crossing) choose(job Job, signal syscall.Signal, force bool) error {
	name := verify.SignalName(signal)
	if !force && !slices.Contains(job.profile().Signals, name) {
		return failed(daemonset.Invalid, fmt.Errorf("profile %s does not list signal %s (signals = [%s]); --force sends it all the same",
			job.profile().Name, name, strings.Join(job.profile().Signals, ", ")))
	}
	info, err := c.server.Info()
	if err != nil {
		return failed(crossingState(err), err)
	}
	if err := verify.CanSignal(info, signal); err != nil {
		return failed(daemonset.Failed, err)
	}
	c.signal = signal
	return nil
}

package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/check"
	"github.com/podreload/podreload/daemonset/source"
	"github.com/podreload/podreload/daemonset/state"
	"github.com/podreload/podreload/daemonset/template"
)

// errStarts is why there is no server yet.
var errStarts = errors.New("the container is about to start")

// errSeen: an apply was there before, and goes on with it.
var errSeen = errors.New("it was seen to before")

// Start puts the files of a container in place whose process does not run yet, so that its
// server begins with them. It does the part of an apply that needs no server: the record
// says that a reload is owed, and the next [Applier.Apply] signals and proves it. An error
// says why the files are not in place; the container then starts with what it has, and
// is applied to as ever.
//
// The status is the record's, but for the revision, which is that of the files: in the record it
// is that of what is live. It is quick, as a container waits for it. So nothing is tried: files are placed that a
// server of an equal container was proved with (see check.Checker.Prove), or that the
// profile wants unchecked. Nor is anything asked inside or of etcd.
func (a *Applier) Start(ctx context.Context, job Job) (daemonset.Status, error) {
	status := newStatus(job.Target)
	if err := supported(job); err != nil {
		return status, err
	}
	if job.Snapshot == nil {
		return status, failed(daemonset.Waiting, errors.Join(errors.New("nothing of its keys has been read from etcd yet"), job.Away))
	}
	unlock, err := a.lock(ctx, job.Target.Container.ID)
	if err != nil {
		return status, err
	}
	defer unlock()
	switch _, err := a.Store.Load(job.Target.Container.ID); {
	case err == nil:
		return status, errSeen
	case !errors.Is(err, state.ErrNotFound):
		return status, err
	}
	job.did = &deed{}
	rec := state.Record{Status: status}
	err = a.start(ctx, job, &rec)
	if errors.Is(err, check.ErrUnproved) {
		if good := a.better(job); good != nil { // what the others still run with, where the newest is not taken
			job.Snapshot, rec = good, state.Record{Status: status}
			err = a.start(ctx, job, &rec)
		}
	}
	if err != nil && rec.Next == nil {
		return rec.Status, err // nothing is begun
	}
	if err != nil {
		conclude(&rec.Status, job, err)
	}
	if saveErr := a.Store.Save(rec); saveErr != nil {
		return rec.Status, errors.Join(err, fmt.Errorf("keep the record of %s: %w", job.Target.Container, saveErr))
	}
	a.account(job, rec)
	a.Store.Tidy(rec)
	status = rec.Status
	status.Revision = job.Snapshot.Revision()
	return status, err
}

func (a *Applier) start(ctx context.Context, job Job, rec *state.Record) error {
	switch pinned, err := a.paused(job, rec); {
	case err != nil:
		return err
	case pinned != nil:
		return failed(daemonset.Waiting, errors.New("it is pinned to files of its history, which come once its server runs"))
	}
	if err := a.emptied(job, rec); err != nil {
		return err
	}
	files, err := job.render(nil)
	if errors.Is(err, template.ErrNoContainer) {
		return failed(daemonset.Waiting, fmt.Errorf("its templates ask what is inside, which a container that is about to start cannot be kept waiting for: %w", err))
	}
	if err != nil {
		return err
	}
	want := goalOf(files, job.Snapshot.Revision(), rec)
	init, err := pin(job.Target.Container)
	if err != nil {
		return err
	}
	preset, known, err := presetOf(job.profile())
	if err != nil {
		init.Close()
		return err
	}
	c := &crossing{profile: job.Target.Profile, init: init, waiting: errStarts}
	if known {
		c.preset = &preset
	}
	defer c.Close()
	if want.files, err = a.named(ctx, job, init, want.files); err != nil {
		return err
	}
	if err := a.passed(job, c, want); err != nil {
		return err
	}
	if err := a.remember(ctx, job, c, want, rec); err != nil {
		return err
	}
	if err := a.place(ctx, job, c, want, rec); !errors.Is(err, errStarts) {
		return err
	}
	rec.State, rec.Updated = daemonset.Waiting, time.Now()
	rec.Reason = fmt.Sprintf("the files of revision %d are in place as the container starts; the reload that proves it follows", want.revision)
	return nil
}

// passed refuses files of which nobody knows that they are good, where the profile wants to know.
func (a *Applier) passed(job Job, c *crossing, want goal) error {
	if job.profile().Check == template.CheckOff {
		return a.taken(job, want)
	}
	trial, err := a.trial(job, c, want.files)
	if err != nil {
		return err
	}
	if trial.Forget {
		return failed(daemonset.Waiting, fmt.Errorf("%s ends with a configuration that is bad, so it is tried anew each time", job.profile().Process))
	}
	if len(trial.Commands) == 0 { // nor would an apply try it
		return a.taken(job, want)
	}
	err = a.Checker.Proved(trial)
	if errors.Is(err, check.ErrUnproved) {
		return failed(daemonset.Waiting, fmt.Errorf("the files of revision %d: %w", want.revision, err))
	}
	return err
}

// taken refuses what is not tried, and is not what servers have taken here last, where that is known. They
// might have been rolled back from it, and one that begins with it cannot be.
func (a *Applier) taken(job Job, want goal) error {
	if a.better(job) == nil {
		return nil
	}
	return failed(daemonset.Waiting, fmt.Errorf("the files of revision %d: %w", want.revision, check.ErrUnproved))
}

// better is the snapshot that was live last, if it is another than the job's and known.
func (a *Applier) better(job Job) *source.Snapshot {
	good, _, err := a.lastGood(job)
	if err != nil || good.Revision() == job.Snapshot.Revision() {
		return nil
	}
	return good
}

// startedWith answers whether the files are in place already, as after [Applier.Start], and good.
// A try that comes to no verdict must not take them away from a server that began with them.
func (a *Applier) startedWith(trial check.Trial, want goal, rec *state.Record) bool {
	return rec.Next != nil && rec.Digest == want.digest && !trial.Forget && a.Checker.Proved(trial) == nil
}

// vouch notes that the job's files are good for containers that are equal to this one. What
// stands in the way of that is said when it matters, when one of them starts.
func (a *Applier) vouch(job Job, c *crossing, want goal) {
	if want.back || want.instead != nil || job.Retire || job.profile().Check == template.CheckOff || c.preset != nil && c.preset.Mandatory {
		return
	}
	_ = a.Checker.Prove(check.Trial{Container: job.Target.Container, Files: want.files, Image: job.Target.Container.Image})
}

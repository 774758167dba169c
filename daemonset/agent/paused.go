package agent

import (
	"fmt"
	"time"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/state"
)

// paused is what a person's word makes of a pass: an error that ends it, or the goal that the target is
// pinned to.
func (a *Applier) paused(job Job, rec *state.Record) (pinned *goal, err error) {
	p, ok, err := a.Store.Paused(rec.Profile, job.Target.Container.String())
	switch {
	case err != nil:
		return nil, failed(daemonset.Failed, err)
	case !ok:
		return nil, nil
	case p.Pin == "":
		return nil, failed(daemonset.Paused, fmt.Errorf("%s is paused since %s by %s: nothing is changed until podreload resume",
			p, p.Since.Format(time.RFC3339), p.By))
	}
	want, err := a.pin(job, p, rec)
	if err != nil {
		return nil, err
	}
	return &want, nil
}

// Paused says what keeps an apply from what its snapshot makes of the profile: an error of the
// state Paused. Nil where nobody does.
func (a *Applier) Paused(job Job) error {
	rec := a.record(job.Target)
	pinned, err := a.paused(job, &rec)
	if pinned != nil {
		return pinned.instead
	}
	return err
}

// pin is the goal of a target that a person took back to files of its history.
func (a *Applier) pin(job Job, p state.Pause, rec *state.Record) (goal, error) {
	target := job.Target.Container.String()
	entries, err := a.Store.History(target)
	if err != nil {
		return goal{}, failed(daemonset.Failed, err)
	}
	entry, ok := state.Find(entries, func(e state.Entry) bool { return e.Digest == p.Pin })
	if !ok {
		return goal{}, failed(daemonset.Paused, fmt.Errorf("the files of revision %d that it is pinned to are no longer kept; "+
			"nothing is changed until podreload resume", p.Revision))
	}
	if entry.Profile != rec.Profile {
		return goal{}, failed(daemonset.Paused, fmt.Errorf("pinned to revision %d of profile %s, and it has profile %s by now; "+
			"nothing is changed until podreload resume", p.Revision, entry.Profile, rec.Profile))
	}
	files, err := a.Store.Back(entry)
	if err != nil {
		return goal{}, failed(daemonset.Paused, fmt.Errorf("pinned to revision %d: %w; nothing is changed until podreload resume", p.Revision, err))
	}
	want := goalOf(files, entry.Revision, rec)
	want.pinned = true
	want.digest = p.Pin // attributes that were read from inside are among the files by now
	want.instead = failed(daemonset.Paused, fmt.Errorf("pinned to revision %d since %s by %s, until podreload resume",
		entry.Revision, p.Since.Format(time.RFC3339), p.By))
	return want, nil
}

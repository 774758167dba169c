package agent

import (
	"errors"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/source"
	"github.com/podreload/podreload/daemonset/template"
)

// Job is what one apply works from.
type Job struct {
	Target   daemonset.Target
	Bound    *template.Bound  // the profile, for this pod; nil where Target has a State
	Snapshot *source.Snapshot // nil: etcd has not been read yet, Away says why
	Away     error            // why Snapshot may be old; nil if it is fresh

	// Good is the newest snapshot that has led to a live configuration, if the caller knows
	// one: a container that has had nothing yet gets that where Snapshot has nothing for it.
	Good *source.Snapshot

	// Look compares the files inside even though nothing is known to have
	// changed: the search for drift, and what a person expects of `apply`.
	Look bool

	// Insist tries at once what the server was too slow for, and what it was taken back to in vain.
	Insist bool

	// Retire is for a target that the profile has no longer: of its files go those
	// that are to go with their resource.
	Retire bool

	earlier   *earlier   // the same of before Good was known; nil: what the store has
	rendering *rendering // that jobs with the same Snapshot share; nil: none do

	// offer says what a target is to have that has a revision already, in place of Snapshot and what
	// goes with it; nil: that is known.
	offer func(revision int64) offer

	did *deed // what an apply adds to; nil before
}

// NewJob binds the target's profile to its pod. A target for which the choice failed
// has neither.
func NewJob(t daemonset.Target, profile *template.Profile) (Job, error) {
	if t.State != "" {
		return Job{Target: t}, nil
	}
	bound, err := profile.Bind(template.FactsOf(t.Container))
	if err != nil {
		return Job{}, failed(daemonset.Invalid, err)
	}
	return Job{Target: t, Bound: bound}, nil
}

// undecided is why there is nothing to work on.
func (j Job) undecided() error {
	if j.Target.State == "" {
		return nil
	}
	return failed(j.Target.State, errors.New(j.Target.Reason))
}

func (j Job) profile() *template.Profile { return j.Bound.Profile }

// render makes the files of the job. What templates ask of the running container goes
// to in, if there is one.
func (j Job) render(in template.Inside) ([]daemonset.File, error) {
	render := func(parts template.Parts) (*template.Rendered, error) {
		f := template.FactsOf(j.Target.Container)
		f.Inside = in
		return j.Bound.RenderWith(j.Snapshot, f, parts)
	}
	shared, wait := j.rendering, othersWait
	if shared == nil || shared.snapshot != j.Snapshot {
		shared = &rendering{}
	}
	if in == nil {
		wait = 0 // a container waits for it to start
	}
	files, err := shared.of(wait, render)
	if err != nil {
		return nil, failed(crossingState(err), err) // a template may have asked a container that is gone
	}
	return files, nil
}

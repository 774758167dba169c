package agent

import (
	"context"
	"slices"
	"strings"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/state"
	"github.com/podreload/podreload/daemonset/template"
)

// leaveOf is what the record keeps of the job's profile for the time when that has gone.
func leaveOf(job Job) *state.Leave {
	if !slices.ContainsFunc(job.Bound.Resources, func(r *template.Resource) bool { return r.Remove }) {
		return nil
	}
	p := job.profile()
	l := &state.Leave{Process: p.Process, Matcher: p.Matcher, Check: p.Check, Signals: p.Signals}
	for _, r := range job.Bound.Resources {
		if r.ReloadSignal != "" {
			l.Signal = r.ReloadSignal
		}
		if command := r.ReloadCommand(); command != "" && !slices.Contains(l.Commands, command) {
			l.Commands = append(l.Commands, command)
		}
	}
	return l
}

// leaving is the job that takes the files of a profile away which the container has no
// longer. Of the profile there is no more than what the record keeps.
func leaving(c daemonset.Container, rec state.Record) Job {
	p := &template.Profile{Name: rec.Profile, Process: rec.Leave.Process, Matcher: rec.Leave.Matcher, Check: rec.Leave.Check, Signals: rec.Leave.Signals}
	if rec.Leave.Signal != "" {
		p.Resources = append(p.Resources, &template.Resource{ReloadSignal: rec.Leave.Signal})
	}
	for _, command := range rec.Leave.Commands {
		p.Resources = append(p.Resources, &template.Resource{ReloadCmd: command})
	}
	return Job{
		Target: daemonset.Target{Container: c, Profile: rec.Profile},
		Bound:  &template.Bound{Profile: p, Resources: p.Resources},
		Retire: true,
	}
}

// leave lets profiles go that containers have no longer, by what was applied there, also by an
// earlier agent: where files are to go with their resources, a last worker sees to
// it. Others stay, unmanaged. It answers false if it cannot know all of it yet.
func (a *Agent) leave(ctx context.Context, targets []daemonset.Target, containers []daemonset.Container) (done bool) {
	if a.Config.Unread != nil {
		return false // a profile may be in what could not be read
	}
	for _, c := range containers {
		if a.workers[c.ID] != nil {
			continue
		}
		rec, err := a.Applier.Store.Load(c.ID)
		if err != nil || rec.Leave == nil || len(gone(&rec, nil)) == 0 {
			continue
		}
		if _, known := a.Config.Profile(rec.Profile); known && meant(targets, c.Pod, rec.Profile) {
			continue
		}
		a.run(ctx, &worker{job: leaving(c, rec)})
	}
	return true
}

// meant says whether the profile is for the pod still, though nobody can say now for which
// container.
func meant(targets []daemonset.Target, pod daemonset.Pod, profile string) bool {
	return slices.ContainsFunc(targets, func(t daemonset.Target) bool {
		return t.State != "" && t.Container.Pod.SandboxID == pod.SandboxID && slices.Contains(strings.Split(t.Profile, ","), profile)
	})
}

package main

import (
	"context"
	"slices"
	"time"

	"github.com/urfave/cli/v3"
	"golang.org/x/sync/errgroup"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/agent"
	"github.com/podreload/podreload/daemonset/source"
	"github.com/podreload/podreload/daemonset/template"
)

// targetJobs makes the jobs of targets that refs name, or of all: what was
// chosen, its profile, and what etcd holds for it now.
func targetJobs(ctx context.Context, c *cli.Command, all bool, refs []string) ([]agent.Job, error) {
	jobs, err := chosenJobs(ctx, c, all, refs)
	if err != nil {
		return nil, err
	}
	etcd, err := openSource(c)
	if err != nil {
		return nil, err
	}
	defer etcd.Close()
	read := snapshots{client: etcd, timeout: c.Duration("timeout")}
	for i := range jobs {
		job := &jobs[i]
		var err error
		if job.Bound != nil {
			job.Snapshot, err = read.of(ctx, job.Bound)
		}
		switch {
		case err != nil && (len(jobs) == 1 || ctx.Err() != nil):
			return nil, err
		case err != nil: // one that may not be read, say, does not keep the others back
			job.Target.State, job.Target.Reason = daemonset.Failed, err.Error()
		}
	}
	return jobs, nil
}

// chosenJobs are the same without a word to etcd.
func chosenJobs(ctx context.Context, c *cli.Command, all bool, refs []string) ([]agent.Job, error) {
	v, err := look(ctx, c)
	if err != nil {
		return nil, err
	}
	targets := v.targets
	if all {
		targets = append(targets, unchosen(v.config, targets)...)
	} else if targets, err = pickAll(targets, refs); err != nil {
		return nil, err
	}
	var jobs []agent.Job
	for _, t := range targets {
		profile, _ := v.config.Profile(t.Profile)
		job, err := agent.NewJob(t, profile)
		if err != nil {
			return nil, err
		}
		job.Look, job.Insist = true, true
		jobs = append(jobs, job)
	}
	return jobs, nil
}

// unchosen stand for what is wrong in conf.d that no target shows: whom a broken profile would have chosen by
// its select cannot be told, and all of the node is not well without them.
func unchosen(config *template.Config, targets []daemonset.Target) (out []daemonset.Target) {
	for _, problem := range config.Homeless() {
		out = append(out, daemonset.Target{State: daemonset.Invalid, Reason: problem})
	}
	for _, p := range config.Profiles {
		if p.Err != nil && !slices.ContainsFunc(targets, func(t daemonset.Target) bool { return t.Profile == p.Name }) {
			out = append(out, daemonset.Target{Profile: p.Name, State: daemonset.Invalid, Reason: p.Err.Error()})
		}
	}
	return out
}

// parallel is how many targets a command works on at once.
const parallel = 8

// each does the same for every target. What it returns is in the order of the jobs.
func each[R any](jobs []agent.Job, do func(agent.Job) (R, error)) ([]R, []error) {
	results, errs := make([]R, len(jobs)), make([]error, len(jobs))
	var group errgroup.Group
	group.SetLimit(parallel)
	for i, job := range jobs {
		group.Go(func() error {
			results[i], errs[i] = do(job)
			return nil
		})
	}
	_ = group.Wait() // the errors are in errs
	return results, errs
}

// snapshots reads what profiles need from etcd, each set of keys once.
type snapshots struct {
	client  *source.Client
	timeout time.Duration
	read    map[string]answer // by the bound profile's ID
}

type answer struct {
	snapshot *source.Snapshot
	err      error
}

func (s *snapshots) of(ctx context.Context, b *template.Bound) (*source.Snapshot, error) {
	if a, ok := s.read[b.ID()]; ok {
		return a.snapshot, a.err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	snapshot, err := s.client.Read(ctx, b.Keys())
	if s.read == nil {
		s.read = map[string]answer{}
	}
	s.read[b.ID()] = answer{snapshot, err}
	return snapshot, err
}

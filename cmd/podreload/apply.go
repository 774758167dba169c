package main

import (
	"context"
	"strings"

	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v3"

	"github.com/podreload/podreload/daemonset/agent"
)

// applied is what one target came to, as apply prints it.
type applied struct {
	Container string   `json:"container"`
	Name      string   `json:"name"`
	Pod       string   `json:"pod"`
	Namespace string   `json:"namespace"`
	Profile   string   `json:"profile"`
	Result    string   `json:"result"` // a state, or unchanged, or "would change"
	Revision  int64    `json:"revision,omitempty"`
	Changed   []string `json:"changed"` // paths
	Reason    string   `json:"reason,omitempty"`
}

var applyCommand = &cli.Command{
	Name:      "apply",
	Usage:     "bring targets up to date now: one pass, with its result as the exit code",
	ArgsUsage: "ID... | --all",
	Description: "Renders, checks, writes, signals and proves. What is in place already is left alone, unless a reload is still\n" +
		"owed. Exits with 0 if all is in place and proved, 1 on an error or if a server is waited for, 3 if the ID or the\n" +
		"container is not found or ambiguous, 4 if the check refused and nothing changed, 5 if the server was signalled and\n" +
		"did not take it: then the previous files are back; of many, the worst.",
	Flags: listFlags(
		&cli.BoolFlag{Name: "all", Usage: "every target of this node"},
		&cli.BoolFlag{Name: "dry-run", Usage: "say what would change, and change nothing"},
	),
	Action: func(ctx context.Context, c *cli.Command) error {
		if c.Bool("all") == c.Args().Present() {
			return needsID(c)
		}
		if err := confdForbids(c); err != nil && !c.Bool("dry-run") {
			return err
		}
		jobs, err := targetJobs(ctx, c, c.Bool("all"), c.Args().Slice())
		if err != nil {
			return err
		}
		applier, err := openApplier(ctx, c)
		if err != nil {
			return err
		}
		defer applier.Close()
		results, errs := each(jobs, func(job agent.Job) (applied, error) {
			result, err := applyOne(ctx, applier.Applier, job, c.Bool("dry-run"))
			logrus.WithFields(logrus.Fields{"target": job.Target.Container, "result": result.Result}).Debug("done")
			return result, err
		})
		if !c.Bool("dry-run") {
			wake(ctx, c) // it may have newer values by now
		}
		if err := print(c, results, applyTable(c, results)); err != nil {
			return err
		}
		return worst(jobs, errs)
	},
}

func applyOne(ctx context.Context, applier *agent.Applier, job agent.Job, dry bool) (applied, error) {
	t := job.Target.Container
	r := applied{Container: t.ID, Name: t.Name, Pod: t.Pod.Name, Namespace: t.Pod.Namespace, Profile: job.Target.Profile, Changed: []string{}}
	if dry {
		err := applier.Paused(job)
		var differences []agent.Difference
		if err == nil {
			differences, err = applier.Look(ctx, job, false)
		}
		if err != nil {
			r.Result, r.Reason = string(agent.StateOf(err)), err.Error()
			return r, err
		}
		r.Result, r.Revision = "unchanged", job.Snapshot.Revision()
		for _, d := range differences {
			if d.Changed {
				r.Result, r.Changed = "would change", append(r.Changed, d.File.Path)
			}
		}
		return r, nil
	}
	outcome, err := applier.Apply(ctx, job)
	s := outcome.Status
	r.Result, r.Revision, r.Reason = string(s.State), s.Revision, s.Reason
	switch {
	case outcome.Unchanged:
		r.Result = "unchanged"
	case err != nil && r.Reason == "":
		r.Result, r.Reason = string(agent.StateOf(err)), err.Error()
	default:
		r.Changed = append(r.Changed, outcome.Wrote...)
	}
	return r, err
}

func applyTable(c *cli.Command, results []applied) table {
	t := table{header: []string{"CONTAINER", "NAME", "POD", "NAMESPACE", "PROFILE", "RESULT", "REVISION", "CHANGED", "REASON"}}
	for _, r := range results {
		t.rows = append(t.rows, []string{
			id(c, r.Container), r.Name, r.Pod, r.Namespace, r.Profile, r.Result,
			revision(r.Revision), strings.Join(r.Changed, ","), r.Reason,
		})
	}
	return t
}

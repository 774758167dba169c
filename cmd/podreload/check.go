package main

import (
	"context"
	"errors"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/podreload/podreload/daemonset/agent"
	"github.com/podreload/podreload/daemonset/check"
)

// checked is what the check of one target came to, as check prints it.
type checked struct {
	Container  string        `json:"container"`
	Name       string        `json:"name"`
	Pod        string        `json:"pod"`
	Namespace  string        `json:"namespace"`
	Profile    string        `json:"profile"`
	Result     string        `json:"result"` // Passed, or a state
	Revision   int64         `json:"revision,omitempty"`
	Took       time.Duration `json:"took,omitempty"` // nanoseconds
	Remembered bool          `json:"remembered,omitempty"`
	Output     string        `json:"output,omitempty"` // what the server said
	Reason     string        `json:"reason,omitempty"`
}

var checkCommand = &cli.Command{
	Name:      "check",
	Usage:     "try the new configuration where the running server cannot see it; change nothing",
	ArgsUsage: "ID... | --all",
	Description: "Renders the files and runs the server's own check (nginx -t, or a resource's check_cmd) on them in a twin of the\n" +
		"container: same image, mounts, user and limits. Exits with 0 if it passes, 4 if the check refuses, 1 on an error,\n" +
		"3 if the ID or the container is not found or ambiguous; of many, the worst.",
	Flags: listFlags(&cli.BoolFlag{Name: "all", Usage: "every target of this node"}),
	Action: func(ctx context.Context, c *cli.Command) error {
		if c.Bool("all") == c.Args().Present() {
			return needsID(c)
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
		results, errs := each(jobs, func(job agent.Job) (checked, error) { return checkOne(ctx, applier.Applier, job) })
		if err := print(c, results, checkTable(c, results)); err != nil {
			return err
		}
		return worst(jobs, errs)
	},
}

func checkOne(ctx context.Context, applier *agent.Applier, job agent.Job) (checked, error) {
	t := job.Target.Container
	r := checked{Container: t.ID, Name: t.Name, Pod: t.Pod.Name, Namespace: t.Pod.Namespace, Profile: job.Target.Profile}
	if job.Snapshot != nil {
		r.Revision = job.Snapshot.Revision()
	}
	verdict, err := applier.Check(ctx, job)
	r.Result, r.Took, r.Remembered, r.Output = "Passed", verdict.Took, verdict.Remembered, verdict.Output
	if err != nil {
		r.Result, r.Reason = string(agent.StateOf(err)), err.Error()
	}
	if refusal, ok := errors.AsType[*check.Refusal](err); ok {
		r.Output = refusal.Output
	}
	return r, err
}

func checkTable(c *cli.Command, results []checked) table {
	t := table{header: []string{"CONTAINER", "NAME", "POD", "NAMESPACE", "PROFILE", "RESULT", "REVISION", "TOOK", "REASON"}}
	for _, r := range results {
		took := "-"
		switch {
		case r.Remembered:
			took = "remembered"
		case r.Took > 0:
			took = r.Took.Round(time.Millisecond).String()
		}
		t.rows = append(t.rows, []string{
			id(c, r.Container), r.Name, r.Pod, r.Namespace, r.Profile, r.Result, revision(r.Revision), took, r.Reason,
		})
	}
	return t
}

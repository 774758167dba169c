package main

import (
	"context"
	"fmt"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/urfave/cli/v3"

	"github.com/podreload/podreload/daemonset/agent"
)

var diffCommand = &cli.Command{
	Name:        "diff",
	Usage:       "print what an apply would change inside; change nothing",
	ArgsUsage:   "ID...",
	Description: "Prints a unified diff of each file that would change, and nothing where all is in place.",
	Action: func(ctx context.Context, c *cli.Command) error {
		if !c.Args().Present() {
			return needsID(c)
		}
		jobs, err := targetJobs(ctx, c, false, c.Args().Slice())
		if err != nil {
			return err
		}
		applier, closeApplier, err := openApplier(ctx, c)
		if err != nil {
			return err
		}
		defer closeApplier()
		errs := make([]error, len(jobs))
		for i, job := range jobs {
			var differences []agent.Difference
			differences, errs[i] = applier.Look(ctx, job, true)
			for _, d := range differences {
				if _, err := c.Root().Writer.Write(unified(job, d)); err != nil {
					return err
				}
			}
		}
		return worst(jobs, errs)
	},
}

// unified is the difference as a person reads it; of a sensitive file it says
// only that there is one.
func unified(job agent.Job, d agent.Difference) []byte {
	name := job.Target.Container.String() + ":" + d.File.Path
	switch {
	case !d.Changed:
		return nil
	case d.File.Sensitive:
		return fmt.Appendf(nil, "%s: differs (sensitive: its content is not shown)\n", name)
	}
	before := name
	if !d.Existed {
		before = "/dev/null"
	}
	text := diff.Diff(before, d.Inside, name, d.File.Data)
	if text == nil {
		return fmt.Appendf(nil, "%s: mode or owner differ, the content is equal\n", name)
	}
	return text
}

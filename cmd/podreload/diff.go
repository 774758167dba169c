package main

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"

	"github.com/urfave/cli/v3"

	"github.com/podreload/podreload/daemonset/agent"
)

var diffCommand = &cli.Command{
	Name:      "diff",
	Usage:     "print what an apply would change inside; change nothing",
	ArgsUsage: "ID...",
	Description: "Prints a unified diff of each file that would change, and nothing where all is in place. Of sensitive files, and\n" +
		"of contents that are no text, it says only that they differ; control characters are written as \\x1b. Exits with 0,\n" +
		"whether something differs or not.",
	Flags: []cli.Flag{
		&cli.StringFlag{Name: "color", Value: "auto", Validator: validColor,
			Usage: "`WHEN` to colour: auto (on a terminal, unless NO_COLOR is set), always or never"},
	},
	Action: func(ctx context.Context, c *cli.Command) error {
		if !c.Args().Present() {
			return needsID(c)
		}
		jobs, err := targetJobs(ctx, c, false, c.Args().Slice())
		if err != nil {
			return err
		}
		applier, err := openApplier(ctx, c)
		if err != nil {
			return err
		}
		defer applier.Close()
		paint := plain
		if wantsColor(c.String("color"), c.Root().Writer, os.Getenv) {
			paint = coloured
		}
		errs := make([]error, len(jobs))
		for i, job := range jobs {
			var differences []agent.Difference
			differences, errs[i] = applier.Look(ctx, job, true)
			for _, d := range differences {
				if _, err := c.Root().Writer.Write(unified(job.Target.Container.String(), d, paint)); err != nil {
					return err
				}
			}
		}
		return worst(jobs, errs)
	},
}

var colorWords = []string{"auto", "always", "never"}

func validColor(s string) error {
	if !slices.Contains(colorWords, s) {
		return errors.New("it is auto, always or never")
	}
	return nil
}

// wantsColor decides for --color. Whoever set NO_COLOR wants none unless this flag
// asks for it (no-color.org).
func wantsColor(when string, w io.Writer, getenv func(string) string) bool {
	if when != "auto" {
		return when == "always"
	}
	file, ok := w.(*os.File)
	if !ok || getenv("NO_COLOR") != "" || getenv("TERM") == "dumb" {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

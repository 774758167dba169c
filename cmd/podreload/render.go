package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/agent"
)

var renderCommand = &cli.Command{
	Name:      "render",
	Usage:     "print the files of a target or profile as they would be now; change nothing",
	ArgsUsage: "ID | --profile NAME | --all --out DIR",
	Description: "One file is printed as its raw bytes, several each under a header with its path; -o json and the other formats\n" +
		"list path, mode, owner, size and digest instead, without contents.\n" +
		"With --profile no container stands behind the templates: --pod, --label and the rest say what one would,\n" +
		"getenv has its defaults only, and what asks a running container fails.",
	DisableSliceFlagSeparator: true, // values of annotations have commas
	Flags: append(formatFlags("raw"),
		&cli.StringFlag{Name: "profile", Usage: "render profile `NAME` without a container"},
		&cli.BoolFlag{Name: "all", Usage: "render for every target of this node, below --out"},
		&cli.StringFlag{Name: "out", Usage: "write below `DIR` instead of printing; DIR must be empty or missing"},
		&cli.StringFlag{Name: "pod", Usage: "with --profile: for the pod `NAMESPACE/NAME`"},
		&cli.StringFlag{Name: "container", Usage: "with --profile: for the container `NAME`"},
		&cli.StringFlag{Name: "node", Usage: "with --profile: for the node `NAME`; default: the global --node-name"},
		&cli.StringFlag{Name: "hostname", Usage: "with --profile: for the host `NAME`"},
		&cli.StringSliceFlag{Name: "label", Usage: "with --profile: the pod's label `KEY=VALUE`"},
		&cli.StringSliceFlag{Name: "annotation", Usage: "with --profile: the pod's annotation `KEY=VALUE`"},
		&cli.StringSliceFlag{Name: "env", Usage: "with --profile: the container's variable `KEY=VALUE`"},
	),
	Action: func(ctx context.Context, c *cli.Command) error {
		jobs, err := renderJobs(ctx, c)
		if err != nil {
			return err
		}
		root, err := outRoot(c.String("out"))
		if err != nil {
			return err
		}
		if root != nil {
			defer root.Close()
		}
		render := agent.Render
		if c.String("profile") == "" { // templates may ask the container
			applier, err := openApplier(ctx, c)
			if err != nil {
				return err
			}
			defer applier.Close()
			render = applier.Render
		}
		raw := c.String("output") == "raw"
		listed := []renderedFile{}
		var errs []error
		for _, job := range jobs {
			files, err := render(ctx, job)
			if err == nil && root != nil {
				err = writeFiles(root, belowOut(c, job), files)
			}
			if err == nil && root == nil && raw {
				err = printFiles(c.Root().Writer, files)
			}
			if err == nil {
				listed = append(listed, listOf(job, files)...)
			}
			errs = append(errs, err)
		}
		if !raw {
			if err := print(c, listed, renderTable(listed)); err != nil {
				return err
			}
		}
		return worst(jobs, errs)
	},
}

// renderJobs is what the arguments ask to be rendered.
func renderJobs(ctx context.Context, c *cli.Command) ([]agent.Job, error) {
	profile, all := c.String("profile"), c.Bool("all")
	switch {
	case profile != "" && (all || c.Args().Present()), all && c.Args().Present():
		return nil, usagef("podreload render takes one of ID, --profile and --all")
	case all && c.String("out") == "":
		return nil, usagef("podreload render --all needs --out DIR")
	case profile == "" && !all && c.NArg() != 1:
		return nil, needsID(c)
	}
	container, err := imagined(c)
	if err != nil {
		return nil, err
	}
	if profile == "" {
		jobs, err := targetJobs(ctx, c, all, c.Args().Slice())
		return jobs, err
	}
	config, err := loadProfiles(c)
	if err != nil {
		return nil, err
	}
	p, ok := config.Profile(profile)
	if !ok {
		return nil, notFoundf("no profile %q in %s; podreload profiles lists them", profile, c.String("confdir"))
	}
	job, err := agent.NewJob(daemonset.Target{Container: container, Profile: profile}, p)
	if err != nil {
		return nil, err
	}
	etcd, err := openSource(c)
	if err != nil {
		return nil, err
	}
	defer etcd.Close()
	if job.Snapshot, err = (&snapshots{client: etcd, timeout: c.Duration("timeout")}).of(ctx, job.Bound); err != nil {
		return nil, err
	}
	return []agent.Job{job}, nil
}

// imagined is the container that the flags describe, for a profile that is
// rendered without one.
func imagined(c *cli.Command) (container daemonset.Container, err error) {
	names := []string{"pod", "container", "node", "hostname", "label", "annotation", "env"}
	if i := slices.IndexFunc(names, c.IsSet); i >= 0 && c.String("profile") == "" {
		return container, usagef("podreload render --%s is for --profile; a target has its own", names[i])
	}
	if pod := c.String("pod"); pod != "" {
		var ok bool
		if container.Pod.Namespace, container.Pod.Name, ok = strings.Cut(pod, "/"); !ok {
			return container, usagef("--pod %q is not of the form NAMESPACE/NAME", pod)
		}
	}
	container.Pod.Node = cmp.Or(c.String("node"), c.Root().String("node-name"))
	container.Name, container.Hostname, container.Env = c.String("container"), c.String("hostname"), c.StringSlice("env")
	for flag, into := range map[string]*map[string]string{"label": &container.Pod.Labels, "annotation": &container.Pod.Annotations} {
		for _, pair := range c.StringSlice(flag) {
			key, value, ok := strings.Cut(pair, "=")
			if !ok {
				return container, usagef("--%s %q is not of the form KEY=VALUE", flag, pair)
			}
			if *into == nil {
				*into = map[string]string{}
			}
			(*into)[key] = value
		}
	}
	return container, nil
}

func printFiles(w io.Writer, files []daemonset.File) error {
	for _, f := range files {
		if len(files) > 1 {
			if _, err := fmt.Fprintf(w, "==> %s <==\n", f.Path); err != nil {
				return err
			}
		}
		if _, err := w.Write(f.Data); err != nil {
			return err
		}
	}
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
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
	Description: "One file is printed as its raw bytes, several each under a header with its path.\n" +
		"With --profile no container stands behind the templates: --pod, --label and the rest say what one would,\n" +
		"getenv has its defaults only, and what asks a running container fails.",
	DisableSliceFlagSeparator: true, // values of annotations have commas
	Flags: []cli.Flag{
		&cli.StringFlag{Name: "profile", Usage: "render profile `NAME` without a container"},
		&cli.BoolFlag{Name: "all", Usage: "render for every target of this node, below --out"},
		&cli.StringFlag{Name: "out", Usage: "write below `DIR` instead of printing; DIR must be empty or missing"},
		&cli.StringFlag{Name: "pod", Usage: "with --profile: for the pod `NAMESPACE/NAME`"},
		&cli.StringFlag{Name: "container", Usage: "with --profile: for the container `NAME`"},
		&cli.StringFlag{Name: "node", Usage: "with --profile: for the node `NAME`"},
		&cli.StringFlag{Name: "hostname", Usage: "with --profile: for the host `NAME`"},
		&cli.StringSliceFlag{Name: "label", Usage: "with --profile: the pod's label `KEY=VALUE`"},
		&cli.StringSliceFlag{Name: "annotation", Usage: "with --profile: the pod's annotation `KEY=VALUE`"},
		&cli.StringSliceFlag{Name: "env", Usage: "with --profile: the container's variable `KEY=VALUE`"},
	},
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
			applier, closeApplier, err := openApplier(ctx, c)
			if err != nil {
				return err
			}
			defer closeApplier()
			render = applier.Render
		}
		var errs []error
		for _, job := range jobs {
			files, err := render(ctx, job)
			switch {
			case err != nil:
			case root == nil:
				err = printFiles(c.Root().Writer, files)
			case c.Bool("all"):
				pod := job.Target.Container.Pod
				err = writeFiles(root, filepath.Join(pod.Namespace, pod.Name, job.Target.Container.Name), files)
			default:
				err = writeFiles(root, ".", files)
			}
			errs = append(errs, err)
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
	container.Pod.Node = c.String("node")
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

// outRoot opens the directory that files are written below; nil without one.
func outRoot(dir string) (*os.Root, error) {
	if dir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("--out: %w", err)
	}
	if len(entries) > 0 {
		return nil, usagef("--out %s is not empty; nothing was written", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("--out: %w", err)
	}
	return os.OpenRoot(dir)
}

func writeFiles(root *os.Root, below string, files []daemonset.File) error {
	for _, f := range files {
		path := filepath.Join(below, f.Path)
		if err := root.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("--out: %w", err)
		}
		mode := fs.FileMode(0o644)
		if f.Mode != nil {
			mode = f.Mode.Perm()
		}
		if f.Sensitive {
			mode = 0o600
		}
		if err := root.WriteFile(path, f.Data, mode); err != nil {
			return fmt.Errorf("--out: %w", err)
		}
	}
	return nil
}

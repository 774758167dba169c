package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v3"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/agent"
)

var renderCommand = &cli.Command{
	Name:      "render",
	Usage:     "print the files of a target or profile as they would be now; change nothing",
	ArgsUsage: "ID | --profile NAME | --all --out DIR",
	Description: "One file is printed as its raw bytes, several each under a header with its path.\n" +
		"With --profile no container stands behind the templates, so getenv has its defaults only.",
	Flags: []cli.Flag{
		&cli.StringFlag{Name: "profile", Usage: "render profile `NAME` without a container"},
		&cli.BoolFlag{Name: "all", Usage: "render for every target of this node, below --out"},
		&cli.StringFlag{Name: "out", Usage: "write below `DIR` instead of printing; DIR must be empty or missing"},
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
		var errs []error
		for _, job := range jobs {
			files, err := agent.Render(job)
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
	etcd, err := openSource(c)
	if err != nil {
		return nil, err
	}
	defer etcd.Close()
	snapshot, err := (&snapshots{client: etcd, timeout: c.Duration("timeout")}).of(ctx, p)
	if err != nil {
		return nil, err
	}
	return []agent.Job{{Profile: p, Snapshot: snapshot}}, nil
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

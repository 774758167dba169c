package main

import (
	"context"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/podreload/podreload/daemonset"
)

// podRow is one pod of the node with what was chosen in it.
type podRow struct {
	daemonset.Pod
	Containers []string           `json:"containers"`
	Targets    []daemonset.Target `json:"targets"`
}

var podsCommand = &cli.Command{
	Name:  "pods",
	Usage: "list the running pods of the node and what was chosen in each",
	Flags: listFlags(
		&cli.StringFlag{Name: "name", Usage: "only pods with `TEXT` in their name"},
		&cli.StringFlag{Name: "namespace", Usage: "only pods of `NAMESPACE`"},
	),
	Action: func(ctx context.Context, c *cli.Command) error {
		if err := noArgs(c); err != nil {
			return err
		}
		v, err := look(ctx, c)
		if err != nil {
			return err
		}
		rows := []podRow{}
		for _, container := range v.containers {
			pod := container.Pod
			if !strings.Contains(pod.Name, c.String("name")) || (c.IsSet("namespace") && pod.Namespace != c.String("namespace")) {
				continue
			}
			i := slices.IndexFunc(rows, func(r podRow) bool { return r.SandboxID == pod.SandboxID })
			if i < 0 {
				i = len(rows)
				rows = append(rows, podRow{Pod: pod, Targets: targetsOf(v.targets, pod)})
			}
			rows[i].Containers = append(rows[i].Containers, container.Name)
		}
		return print(c, rows, podTable(c, rows))
	},
}

func targetsOf(targets []daemonset.Target, pod daemonset.Pod) []daemonset.Target {
	of := []daemonset.Target{}
	for _, t := range targets {
		if t.Container.Pod.SandboxID == pod.SandboxID {
			of = append(of, t)
		}
	}
	return of
}

func podTable(c *cli.Command, rows []podRow) table {
	t := table{header: []string{"POD ID", "NAME", "NAMESPACE", "CONTAINERS", "PROFILES", "REASON"}}
	for _, r := range rows {
		var profiles, reasons []string
		for _, target := range r.Targets {
			profiles = append(profiles, target.Profile)
			if target.Reason != "" {
				reasons = append(reasons, string(target.State)+": "+target.Reason)
			}
		}
		t.rows = append(t.rows, []string{
			id(c, r.SandboxID), r.Name, r.Namespace, strings.Join(r.Containers, ","),
			strings.Join(profiles, ","), strings.Join(reasons, "; "),
		})
	}
	return t
}

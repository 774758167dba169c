package main

import (
	"context"

	"github.com/urfave/cli/v3"

	"github.com/podreload/podreload/daemonset"
)

// inspection is everything known of one target.
type inspection struct {
	Status  daemonset.Status `json:"status"`
	Target  daemonset.Target `json:"target"`
	Profile *profileRow      `json:"profile"`
}

var inspectCommand = &cli.Command{
	Name:        "inspect",
	Usage:       "print everything known of targets",
	ArgsUsage:   "ID...",
	Description: "One ID prints one object, several an array.",
	Flags:       formatFlags("json"),
	Action: func(ctx context.Context, c *cli.Command) error {
		if !c.Args().Present() {
			return needsID(c)
		}
		v, err := look(ctx, c)
		if err != nil {
			return err
		}
		targets, err := pickAll(v.targets, c.Args().Slice())
		if err != nil {
			return err
		}
		store, err := openStore(c)
		if err != nil {
			return err
		}
		var found []inspection
		t := table{header: []string{"CONTAINER", "NAME", "POD", "NAMESPACE", "PROFILE", "STATE", "REASON"}}
		for _, target := range targets {
			s, err := v.status(store, target)
			if err != nil {
				return err
			}
			i := inspection{Status: s, Target: target}
			if p, ok := v.config.Profile(target.Profile); ok {
				row := rowOf(p)
				i.Profile = &row
			}
			found = append(found, i)
			t.rows = append(t.rows, []string{id(c, s.ContainerID), s.Name, s.Pod, s.Namespace, s.Profile, string(s.State), s.Reason})
		}
		if c.Args().Len() == 1 {
			return print(c, found[0], t)
		}
		return print(c, found, t)
	},
}

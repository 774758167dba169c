package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/podreload/podreload/daemonset"
)

var psCommand = &cli.Command{
	Name:  "ps",
	Usage: "list the containers that a profile was chosen for, and how they stand",
	Description: "STATE is Live (proved), Applied (no rule for a proof), Refused (by the check: nothing changed), RolledBack (it did\n" +
		"not take: the previous files are back), Waiting, Stale (etcd is away), Paused, Failed (retried), Ambiguous, Invalid\n" +
		"or Unsupported; REASON says what to do. REVISION is etcd's, of what is live.",
	Flags: listFlags(
		&cli.StringFlag{Name: "name", Usage: "only containers with `TEXT` in their name"},
		&cli.StringFlag{Name: "pod", Usage: "only pods with `TEXT` in their name"},
		&cli.StringFlag{Name: "namespace", Usage: "only pods of `NAMESPACE`"},
		&cli.StringFlag{Name: "profile", Usage: "only targets of profile `NAME`"},
		&cli.StringFlag{Name: "state", Aliases: []string{"s"}, Validator: validState, Usage: "only targets in `STATE`, such as Live"},
	),
	Action: func(ctx context.Context, c *cli.Command) error {
		if err := noArgs(c); err != nil {
			return err
		}
		v, err := look(ctx, c)
		if err != nil {
			return err
		}
		statuses, err := v.statuses(c)
		if err != nil {
			return err
		}
		statuses = slices.DeleteFunc(statuses, func(s daemonset.Status) bool { return !wanted(c, s) })
		if statuses == nil {
			statuses = []daemonset.Status{} // [] in JSON, not null
		}
		return print(c, statuses, statusTable(c, statuses, time.Now()))
	},
}

func wanted(c *cli.Command, s daemonset.Status) bool {
	return strings.Contains(s.Name, c.String("name")) &&
		strings.Contains(s.Pod, c.String("pod")) &&
		(!c.IsSet("namespace") || s.Namespace == c.String("namespace")) &&
		(!c.IsSet("profile") || s.Profile == c.String("profile")) &&
		(!c.IsSet("state") || strings.EqualFold(string(s.State), c.String("state")))
}

// validState also meets who means the global flag of the same name.
func validState(text string) error {
	var names []string
	for _, s := range daemonset.States {
		if strings.EqualFold(string(s), text) {
			return nil
		}
		names = append(names, string(s))
	}
	return fmt.Errorf("it is one of %s; the --state that is a directory stands before the command", strings.Join(names, " "))
}

func statusTable(c *cli.Command, statuses []daemonset.Status, now time.Time) table {
	t := table{header: []string{"CONTAINER", "NAME", "POD", "NAMESPACE", "PROFILE", "STATE", "REVISION", "RELOADED", "RELOADS", "REASON"}}
	for _, s := range statuses {
		t.rows = append(t.rows, []string{
			id(c, s.ContainerID), s.Name, s.Pod, s.Namespace, s.Profile, string(s.State),
			revision(s.Revision), ago(s.Reloaded, now), strconv.Itoa(s.Reloads), s.Reason,
		})
	}
	return t
}

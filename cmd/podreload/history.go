package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/state"
)

// change is one line of a history.
type change struct {
	daemonset.Event
	Back bool `json:"back"` // one can go back to it
}

var historyCommand = &cli.Command{
	Name:      "history",
	Usage:     "list what was changed in a target, by whom, and what came of it",
	ArgsUsage: "ID",
	Description: "The newest first, of the last 50 changes. It goes on over restarts of the container and reboots of the node; ID may\n" +
		"also be the full namespace/pod/container of one that no longer runs. BACK says that podreload rollback can go there.",
	Flags: formatFlags("table"),
	Action: func(ctx context.Context, c *cli.Command) error {
		if c.Args().Len() != 1 {
			return needsID(c)
		}
		store, err := openStore(c)
		if err != nil {
			return err
		}
		defer store.Close()
		name, err := historyOf(ctx, c, store)
		if err != nil {
			return err
		}
		entries, err := store.History(name)
		if err != nil {
			return err
		}
		changes := changesOf(entries)
		return print(c, changes, historyTable(changes))
	},
}

// changesOf are those of a history, the newest first.
func changesOf(entries []state.Entry) []change {
	changes := make([]change, 0, len(entries))
	for _, e := range slices.Backward(entries) {
		changes = append(changes, change{Event: e.Event, Back: len(e.Files) > 0})
	}
	return changes
}

func historyTable(changes []change) table {
	t := table{header: []string{"TIME", "REVISION", "STATE", "BACK", "BY", "WROTE", "TOLD", "REASON"}}
	for _, e := range changes {
		back := "-"
		if e.Back {
			back = "yes"
		}
		t.rows = append(t.rows, []string{
			e.Time.UTC().Format(time.RFC3339), revision(e.Revision), string(e.State), back, e.By, strings.Join(e.Wrote, ","), toldBy(e.Event), e.Reason,
		})
	}
	return t
}

// toldBy is how the server was told to reload.
func toldBy(e daemonset.Event) string {
	told := e.Ran
	if e.Signal != "" {
		told = append([]string{e.Signal}, told...)
	}
	return strings.Join(told, "; ")
}

// historyOf is the name of the target that the command's ID means: of one that runs, or by its whole name
// of one that has a history.
func historyOf(ctx context.Context, c *cli.Command, store *state.Store) (string, error) {
	ref := c.Args().First()
	if strings.Count(ref, "/") == 2 {
		if entries, err := store.History(ref); err != nil || len(entries) > 0 {
			return ref, err
		}
	}
	v, err := look(ctx, c)
	if err != nil {
		return "", err
	}
	t, err := pick(v.targets, ref)
	if err != nil {
		return "", err
	}
	if t.Container.ID == "" {
		return "", notFoundf("no container of %s/%s is chosen: %s; a history has the container's whole name, namespace/pod/container",
			t.Container.Pod.Namespace, t.Container.Pod.Name, t.Reason)
	}
	return t.Container.String(), nil
}

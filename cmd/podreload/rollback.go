package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/agent"
	"github.com/podreload/podreload/daemonset/state"
)

var rollbackCommand = &cli.Command{
	Name:      "rollback",
	Usage:     "take a target back to files that it had before, and keep it there",
	ArgsUsage: "ID",
	Description: "Takes the files from the node's own history, without a word to etcd, and checks, writes, reloads and proves them as\n" +
		"apply does, with its exit codes. Then the target is pinned: Paused, with these files also after a restart of its\n" +
		"container, until podreload resume. If they do not take, nothing is pinned.",
	Flags: append(listFlags(), &cli.Int64Flag{Name: "to", Usage: "the `REVISION` to go back to; default: that before the newest other files"}),
	Action: func(ctx context.Context, c *cli.Command) error {
		if c.Args().Len() != 1 {
			return needsID(c)
		}
		if err := confdForbids(c); err != nil {
			return err
		}
		jobs, err := chosenJobs(ctx, c, false, c.Args().Slice())
		if err != nil {
			return err
		}
		applier, err := openApplier(ctx, c)
		if err != nil {
			return err
		}
		defer applier.Close()
		result, err := rollBack(ctx, c, applier.Applier, jobs[0])
		wake(ctx, c)
		if result.Container == "" {
			return err
		}
		return errors.Join(print(c, []applied{result}, applyTable(c, []applied{result})), err)
	},
}

// rollBack pins the target before it is changed, so that the daemon beside does not take it
// forward again.
func rollBack(ctx context.Context, c *cli.Command, applier *agent.Applier, job agent.Job) (applied, error) {
	if job.Target.State != "" {
		return applied{}, notFoundf("%s: %s", job.Target.Container, job.Target.Reason)
	}
	entry, err := backTo(applier.Store, job, c.Int64("to"))
	if err != nil {
		return applied{}, err
	}
	name := job.Target.Container.String()
	if _, err := applier.Store.Back(entry); errors.Is(err, state.ErrNotFound) {
		return applied{}, notFoundf("revision %d of %s is not kept whole: %w; podreload history %s lists the others", entry.Revision, name, err, name)
	} else if err != nil {
		return applied{}, err
	}
	if err := applier.Store.Secure(name, entry); err != nil {
		return applied{}, err
	}
	pin := state.Pause{Target: name, By: by(c), Since: time.Now(), Pin: entry.Digest, Revision: entry.Revision}
	before, err := applier.Store.Pause(ctx, pin)
	if err != nil {
		return applied{}, err
	}
	result, err := applyOne(ctx, applier, job, false)
	if daemonset.State(result.Result) == daemonset.Paused || result.Result == "unchanged" {
		if held, _, _ := applier.Store.Paused(job.Target.Profile, name); held.Pin == entry.Digest {
			return result, nil
		}
		err = fmt.Errorf("nothing is changed while all of it is paused: %w", err)
	}
	if before != nil {
		_, unpin := applier.Store.Pause(context.WithoutCancel(ctx), *before)
		return result, errors.Join(err, unpin)
	}
	_, unpin := applier.Store.Resume(context.WithoutCancel(ctx), pin)
	return result, errors.Join(err, unpin)
}

// backTo is the entry of the target's history to go back to: the newest of the revision, or
// without one the newest with other files than are in place.
func backTo(store *state.Store, job agent.Job, to int64) (state.Entry, error) {
	name := job.Target.Container.String()
	entries, err := store.History(name)
	if err != nil {
		return state.Entry{}, err
	}
	now := ""
	if rec, err := store.Load(job.Target.Container.ID); err == nil {
		now = rec.Digest
	}
	entry, ok := state.Find(entries, func(e state.Entry) bool {
		return to != 0 && e.Revision == to || to == 0 && e.Digest != now
	})
	switch {
	case !ok && to != 0:
		return entry, notFoundf("%s has nothing of revision %d to go back to; podreload history %s lists what there is", name, to, name)
	case !ok:
		return entry, notFoundf("%s has no other files to go back to; podreload history %s lists what was changed", name, name)
	}
	return entry, nil
}

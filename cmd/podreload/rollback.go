package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sirupsen/logrus"
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
		"container, until podreload resume. If they do not take, or on ^C, nothing is pinned. Given again it goes further back.",
	Flags: append(listFlags(), &cli.Int64Flag{Name: "to", Usage: "the `REVISION` to go back to; default: the newest other files, of a pinned target the next older"}),
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
	unpin := applier.Store.Unpin(context.WithoutCancel(ctx), pin, before)
	switch {
	case unpin != nil:
	case before == nil:
		logrus.Warnf("%s is not pinned: the daemon or the next apply brings what etcd says", name)
	case before.Pin != "":
		logrus.Warnf("%s is pinned to revision %d as before", name, before.Revision)
	default:
		logrus.Warnf("%s is paused as before", name)
	}
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
	if to != 0 {
		return ofRevision(name, entries, to)
	}
	pin, held, err := store.Paused(job.Target.Profile, name)
	if err != nil {
		return state.Entry{}, err
	}
	pinned := held && pin.Pin != ""
	if pinned {
		entries = older(entries, pin)
	}
	now := ""
	if rec, err := store.Load(job.Target.Container.ID); err == nil {
		now = rec.Digest
	}
	entry, ok := state.Find(entries, func(e state.Entry) bool { return e.Digest != now && e.Digest != pin.Pin })
	switch {
	case !ok && pinned:
		return entry, notFoundf("%s has nothing older to go back to than revision %d, to which it is pinned; podreload history %s lists what there is for --to",
			name, pin.Revision, name)
	case !ok:
		return entry, notFoundf("%s has no other files to go back to; podreload history %s lists what was changed", name, name)
	}
	return entry, nil
}

// older are the entries before the one that a target is pinned to. What came after was fled from, and what
// was done while it was pinned would lead there again. Where that one has made room for later ones its
// revision tells.
func older(entries []state.Entry, pin state.Pause) []state.Entry {
	for i, e := range slices.Backward(entries) {
		if e.Digest == pin.Pin && e.Revision == pin.Revision && len(e.Files) > 0 && e.State != daemonset.Paused {
			return entries[:i]
		}
	}
	return slices.DeleteFunc(entries, func(e state.Entry) bool { return e.State == daemonset.Paused || e.Revision >= pin.Revision })
}

// ofRevision is the newest entry of a revision. One that changed nothing in the target has none, though
// ps shows it: then the error names what was in place.
func ofRevision(name string, entries []state.Entry, to int64) (state.Entry, error) {
	if entry, ok := state.Find(entries, func(e state.Entry) bool { return e.Revision == to }); ok {
		return entry, nil
	}
	var then int64
	for _, e := range entries {
		if len(e.Files) > 0 && e.Revision < to {
			then = max(then, e.Revision)
		}
	}
	if then == 0 {
		return state.Entry{}, notFoundf("%s has nothing of revision %d to go back to; podreload history %s lists what there is", name, to, name)
	}
	return state.Entry{}, notFoundf("%s has nothing of revision %d to go back to; what was in place then is of revision %d: rollback --to %d", name, to, then, then)
}

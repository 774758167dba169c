package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/state"
	"github.com/podreload/podreload/daemonset/verify"
	"github.com/podreload/podreload/shim"
)

// change is the part of a pass that leaves traces: try, place and prove, and back
// again where that fails.
func (a *Applier) change(ctx context.Context, job Job, c *crossing, want goal, rec *state.Record) error {
	if want.back {
		return a.place(ctx, job, c, want, rec)
	}
	if !want.pinned {
		if err := hold(job, c, rec); err != nil {
			return err
		}
	}
	if err := a.try(ctx, job, c, want, rec); err != nil {
		if isNew(rec) && StateOf(err) == daemonset.Refused {
			return err // there may be better for it than what its image has: see pass
		}
		return a.undo(ctx, job, rec, err)
	}
	if err := a.remember(ctx, job, c, want, rec); err != nil {
		return err
	}
	err := a.place(ctx, job, c, want, rec)
	if !errors.Is(err, ErrNotVerified) || StateOf(err) == daemonset.Waiting { // the latter is signalled once more
		return err
	}
	return a.reject(ctx, job, want, rec, err)
}

// undo takes back what an apply that was cut off has begun: it may stand half.
func (a *Applier) undo(ctx context.Context, job Job, rec *state.Record, cause error) error {
	if rec.Next == nil {
		return cause
	}
	return errors.Join(cause, a.restore(ctx, job, rec))
}

// remember sees to it that there is a way back before anything changes: what the
// files are now of which none is known that a server was proved with.
func (a *Applier) remember(ctx context.Context, job Job, c *crossing, want goal, rec *state.Record) error {
	var unknown []daemonset.File
	for _, f := range want.files {
		if !slices.ContainsFunc(rec.Good, func(good state.Saved) bool { return good.Path == f.Path }) {
			unknown = append(unknown, f)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	result, err := a.cross(ctx, c, request(shim.Read, unknown, job.Target.Container))
	if err != nil {
		return err
	}
	var before []daemonset.File
	for i, r := range result.Files {
		f := daemonset.File{Path: r.Path, Data: r.Data, Absent: r.Before == nil, Sensitive: unknown[i].Sensitive}
		if r.Before != nil {
			f.Mode, f.UID, f.GID = attributes(*r.Before)
		}
		before = append(before, f)
	}
	saved, err := a.Store.Keep(rec.ContainerID, before)
	if err != nil {
		return failed(daemonset.Failed, err)
	}
	rec.Good, rec.GoodDigest = append(rec.Good, saved...), ""
	return nil
}

func attributes(a shim.Attributes) (mode *fs.FileMode, uid, gid *uint32) {
	m := fs.FileMode(a.Mode)
	return &m, &a.UID, &a.GID
}

// place puts the files in their places, has the server reload them, and proves it.
// From its first step until the proof the record says what is under way. The error
// wraps ErrNotVerified where the server was told and did not take it.
func (a *Applier) place(ctx context.Context, job Job, c *crossing, want goal, rec *state.Record) error {
	commands := reloads(job)
	files, owed := want.all(), rec.Owed
	if l := leaveOf(job); l != nil && !want.back && !job.Retire {
		rec.Leave = l // also where it is never proved
	}
	if c.server != nil {
		rec.Process = c.process() // or this would be nobody's container where the server ends before its first proof
	}
	if err := a.begin(want, rec); err != nil {
		return err
	}
	news := unread(want, rec)
	req := request(shim.Apply, files, job.Target.Container)
	if c.server != nil && (len(commands) == 0 || c.asked) {
		req.Signal, req.Always = int(c.signal), owed || len(news) > 0
	}
	result, proof, err := a.commit(ctx, c, req)
	if err != nil {
		return err
	}
	if proof != nil {
		defer proof.Close()
	}
	if result.Signalled {
		rec.Told = time.Now()
	}
	rec.Digest, rec.Files = want.digest, fileStatus(files, result)
	job.did.place(want, rec, result, req.Signal)
	switch {
	case c.waiting != nil:
		return failed(daemonset.Waiting, fmt.Errorf("the files are in place, the reload waits: %w", c.waiting))
	case req.Signal != 0 && !result.Signalled && (req.Always || result.Changed()):
		return failed(daemonset.Failed, fmt.Errorf("the shim did not signal process %d", c.server.Pid()))
	}
	commands = due(commands, job, owed || want.back, files, result, news)
	if err := a.runReloads(ctx, job, c, commands, rec); err != nil {
		return err
	}
	if proof != nil && (result.Signalled || len(commands) > 0) {
		err := a.prove(ctx, c, proof)
		if errors.Is(err, verify.ErrUnsure) && rec.Unsure < maxUnsure {
			rec.Unsure++
			return failed(daemonset.Waiting, fmt.Errorf("%w; it is signalled once more", err))
		}
		if err != nil {
			return err
		}
		rec.Reloads++
		rec.Reloaded = time.Now()
		job.did.draining = new(proof.Draining())
	}
	finish(want, rec, result)
	rec.Process = c.process()
	return nil
}

// unread are the paths of a goal with other contents than the server is known to have read. Where they are in
// place already, that was somebody else, as in a volume that several containers have.
func unread(want goal, rec *state.Record) map[string]bool {
	paths := make(map[string]bool)
	if want.back {
		return paths // all is owed then
	}
	for _, next := range rec.Next.Files {
		i := slices.IndexFunc(rec.Good, func(good state.Saved) bool { return good.Path == next.Path })
		// What has no resource was there before, and nobody has proved it.
		if i < 0 || rec.Good[i].Resource == "" || rec.Good[i].Absent != next.Absent || rec.Good[i].Content != next.Content {
			paths[next.Path] = true
		}
	}
	return paths
}

// maxUnsure is how often in a row a server is signalled once more whose reload cannot be told
// from another.
const maxUnsure = 5

// commit is the crossing that changes something, and what its proof is compared with: that
// must have been seen before the signal, but no longer ago than needs be. The caller
// closes the proof, if there is one.
func (a *Applier) commit(ctx context.Context, c *crossing, req shim.Request) (shim.Result, *verify.Proof, error) {
	done, err := a.turn(ctx, c.profile)
	if err != nil {
		return shim.Result{}, nil, err
	}
	defer done()
	defer a.phase("commit")()
	proof, err := c.before()
	if err != nil {
		return shim.Result{}, nil, err
	}
	result, err := a.carry(ctx, c, req)
	if err != nil && proof != nil {
		proof.Close()
		proof = nil
	}
	return result, proof, err
}

// begin notes in the record what is about to happen.
func (a *Applier) begin(want goal, rec *state.Record) error {
	rec.Owed = true
	if !want.back {
		files, err := a.Store.Keep(rec.ContainerID, want.all())
		if err != nil {
			return failed(daemonset.Failed, err)
		}
		rec.Next = &state.Change{Revision: want.revision, Files: files, Digest: want.digest}
	}
	if err := a.Store.Save(*rec); err != nil {
		return failed(daemonset.Failed, fmt.Errorf("note what is begun: %w", err))
	}
	return nil
}

// finish makes what was just proved the way back of the next apply.
func finish(want goal, rec *state.Record, result shim.Result) {
	if !want.back {
		rec.Good, rec.GoodDigest = rec.Next.Files, want.digest
		rec.NotTaken = slices.DeleteFunc(rec.NotTaken, func(digest string) bool { return digest == want.digest })
		for i, r := range result.Files {
			if r.After != nil {
				rec.Good[i].Mode, rec.Good[i].UID, rec.Good[i].GID = attributes(*r.After)
			}
		}
		rec.Good = slices.DeleteFunc(rec.Good, func(s state.Saved) bool { return s.Absent && s.Remove })
		if want.instead == nil { // else what was rejected is still what is wanted
			rec.Rejected, rec.Why, rec.NotTaken, rec.Late, rec.Again = "", "", nil, 0, time.Time{}
		}
	}
	rec.Owed, rec.Next, rec.Unsure = false, nil, 0
}

// prove waits for the proof. That it could not be looked for is no word of the server's: the reload stays
// owed.
func (a *Applier) prove(ctx context.Context, c *crossing, proof *verify.Proof) error {
	ctx, cancel := context.WithTimeout(ctx, a.Timeout+c.preset.After)
	defer cancel()
	defer a.phase("prove")()
	err := proof.Wait(ctx)
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return err // cancelled: nothing is known, and the next pass looks again
	case errors.Is(err, verify.ErrNotTaken), errors.Is(err, verify.ErrGone), errors.Is(err, verify.ErrUnsure):
		return failed(daemonset.Failed, fmt.Errorf("%w: %w", ErrNotVerified, err))
	}
	return failed(serverState(err), fmt.Errorf("the files are in place, and whether the server has taken them cannot be told: %w", err))
}

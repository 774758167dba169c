package agent

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/source"
	"github.com/podreload/podreload/daemonset/state"
	"github.com/podreload/podreload/shim"
)

// goal is the set of files that a pass brings about.
type goal struct {
	files    []daemonset.File
	gone     []daemonset.File // of resources that there are no longer: all Absent
	digest   string           // of files
	revision int64
	back     bool // they are the previous ones: what the profile wants did not take
	pinned   bool // a person took it back to them

	snapshot *source.Snapshot // that files are made of; nil where they are known without

	// instead is why they are not what etcd says now, which makes no files: what was begun
	// or is in place is looked after all the same.
	instead error
}

func (g goal) all() []daemonset.File { return slices.Concat(g.files, g.gone) }

// pass does the work of Apply on a loaded record. It answers whether nothing
// had to be done.
func (a *Applier) pass(ctx context.Context, job Job, rec *state.Record) (unchanged bool, err error) {
	if err := supported(job); err != nil {
		return false, err
	}
	pinned, err := a.paused(job, rec)
	if err != nil {
		return true, err
	}
	if pinned != nil {
		want, err := a.acceptInstead(job, *pinned, rec)
		if err != nil {
			return false, err
		}
		return a.attain(ctx, job, want, rec)
	}
	want, err := a.goal(ctx, job, rec)
	if err != nil {
		return false, err
	}
	unchanged, err = a.attain(ctx, job, want, rec)
	if state := StateOf(err); !isNew(rec) || want.instead != nil || state != daemonset.Refused && state != daemonset.RolledBack {
		return unchanged, err
	}
	// It did not work here, and the container has had nothing that did.
	better, unknown := a.newcomer(ctx, job, rec, err)
	if unknown != nil || better.digest == want.digest || rejected(job, better, rec) || inVain(job, better, rec) {
		return unchanged, a.undo(ctx, job, rec, err)
	}
	return a.attain(ctx, job, better, rec)
}

// isNew says whether the container's server was never proved with anything.
func isNew(rec *state.Record) bool { return rec.Revision == 0 }

// attain reaches a goal and notes it. The error may say why it was the goal.
func (a *Applier) attain(ctx context.Context, job Job, want goal, rec *state.Record) (unchanged bool, err error) {
	unchanged, err = a.reach(ctx, job, want, rec)
	switch {
	case err != nil && want.instead != nil:
		return false, failed(StateOf(err), fmt.Errorf("%w; meanwhile: %w", want.instead, err))
	case err != nil:
		return false, err
	case want.back && want.instead == nil:
		return unchanged, rolledBack(rec)
	}
	rec.Revision = want.revision
	if want.snapshot != nil {
		rec.Filled = filled(job.Bound.Keys(), want.snapshot)
	}
	if want.instead != nil {
		return unchanged, want.instead
	}
	describe(rec.Good, want.files)
	if !job.Retire {
		rec.Leave = leaveOf(job)
	}
	return unchanged, nil
}

// goal decides what is to be in place: what the snapshot makes of the profile,
// unless that is known not to take. Where it makes nothing, or there is none, it is what
// is known without.
func (a *Applier) goal(ctx context.Context, job Job, rec *state.Record) (want goal, err error) {
	switch {
	case job.Retire:
		return a.accept(job, goalOf(nil, rec.Revision, rec), rec)
	case job.Snapshot == nil:
		return a.known(ctx, job, rec, job.Away)
	}
	want, err = a.wanted(ctx, job, rec)
	if err == nil {
		return a.accept(job, want, rec)
	}
	if ctx.Err() != nil {
		return goal{}, err
	}
	want, unknown := a.known(ctx, job, rec, err)
	if unknown != nil {
		return goal{}, err
	}
	if want.instead == nil {
		want.instead = err
	}
	return want, nil
}

// wanted is what the snapshot makes of the profile.
func (a *Applier) wanted(ctx context.Context, job Job, rec *state.Record) (want goal, err error) {
	if err := a.emptied(job, rec); err != nil {
		return goal{}, err
	}
	files, err := a.render(ctx, job, rec)
	if err != nil {
		return goal{}, err
	}
	want = goalOf(files, job.Snapshot.Revision(), rec)
	want.snapshot = job.Snapshot
	return want, unsure(job, want.gone)
}

// known is what an apply that was cut off was about, or what is live, or the last good of
// others: with err, why it is not what etcd says now.
func (a *Applier) known(ctx context.Context, job Job, rec *state.Record, why error) (want goal, err error) {
	switch {
	case rec.Next != nil && !slices.Contains(rec.NotTaken, rec.Next.Digest):
		want.revision = rec.Next.Revision
		want.files, err = a.Store.Recall(rec.ContainerID, rec.Next.Files)
		want.files = slices.DeleteFunc(want.files, goes)
	case rec.Rejected != "", rec.Next != nil: // what did not take goes back
		return a.previous(rec)
	case rec.Revision > 0:
		want, err = a.previous(rec)
		want.digest, want.back = rec.Digest, false
		return want, err
	default:
		if want, err = a.newcomer(ctx, job, rec, why); err != nil {
			return goal{}, err
		}
		return a.acceptInstead(job, want, rec)
	}
	if err != nil {
		return goal{}, failed(StateOf(err), err)
	}
	return a.accept(job, goalOf(want.files, want.revision, rec), rec)
}

// accept takes a goal, or the previous files instead.
func (a *Applier) accept(job Job, want goal, rec *state.Record) (goal, error) {
	if !rejected(job, want, rec) || again(job, rec, time.Now()) {
		return want, nil
	}
	previous, err := a.previous(rec)
	if err != nil || sameContents(previous.files, want.all()) {
		return want, err
	}
	return previous, nil
}

// acceptInstead takes a goal that is there instead of another, or the previous files where it did not take.
func (a *Applier) acceptInstead(job Job, want goal, rec *state.Record) (goal, error) {
	if !inVain(job, want, rec) {
		return want, nil
	}
	previous, err := a.previous(rec)
	if err != nil {
		return goal{}, err
	}
	previous.instead = failed(daemonset.RolledBack, fmt.Errorf("%w; %s; the previous files are back and live", want.instead, rec.Why))
	return previous, nil
}

// inVain answers whether a goal did not take that was there instead of another. A person may try it again.
func inVain(job Job, want goal, rec *state.Record) bool {
	return !job.Insist && slices.Contains(rec.NotTaken, want.digest)
}

func goalOf(files []daemonset.File, revision int64, rec *state.Record) goal {
	return goal{files: files, gone: gone(rec, files), digest: daemonset.Digest(files), revision: revision}
}

// gone are the files in place that are to go with their resources, and whose
// resources are not among the files wanted. An apply that is not proved may have put
// some there too.
func gone(rec *state.Record, files []daemonset.File) (out []daemonset.File) {
	var placed []state.Saved
	if rec.Next != nil {
		placed = slices.Clone(rec.Next.Files)
	}
	for _, g := range rec.Good {
		if !slices.ContainsFunc(placed, func(p state.Saved) bool { return p.Path == g.Path }) {
			placed = append(placed, g)
		}
	}
	for _, g := range placed {
		if g.Remove && !slices.ContainsFunc(files, func(f daemonset.File) bool { return f.Path == g.Path }) {
			out = append(out, daemonset.File{Resource: g.Resource, Path: g.Path, Absent: true, Remove: true, Sensitive: g.Sensitive})
		}
	}
	return out
}

// unsure refuses to take files away whose resources may be in a part of conf.d that
// could not be read.
func unsure(job Job, gone []daemonset.File) error {
	if len(gone) == 0 || job.profile().Unread == nil {
		return nil
	}
	return failed(daemonset.Invalid, fmt.Errorf("whether %s (remove = true) is to go cannot be told, so nothing changes until this is mended: %w",
		gone[0].Path, job.profile().Unread))
}

// describe keeps what resources say of their files beside what is inside: it may change while
// these stay the same.
func describe(good []state.Saved, files []daemonset.File) {
	for _, f := range files {
		if i := slices.IndexFunc(good, func(g state.Saved) bool { return g.Path == f.Path }); i >= 0 {
			good[i].Resource, good[i].Mkdir, good[i].Sensitive, good[i].Remove = f.Resource, f.Mkdir, f.Sensitive, f.Remove
		}
	}
}

// goes tells what gone makes from the files of a profile.
func goes(f daemonset.File) bool { return f.Absent && f.Remove }

// previous is the way back.
func (a *Applier) previous(rec *state.Record) (goal, error) {
	files, err := a.Store.Recall(rec.ContainerID, rec.Good)
	if err != nil {
		return goal{}, failed(daemonset.Failed, fmt.Errorf("bring the previous files back: %w", err))
	}
	want := goal{files: files, digest: rec.GoodDigest, revision: rec.Revision, back: true}
	if want.digest == "" {
		want.digest = daemonset.Digest(files)
	}
	return want, nil
}

// sameContents compares what servers read.
func sameContents(a, b []daemonset.File) bool {
	byPath := func(a, b daemonset.File) int { return strings.Compare(a.Path, b.Path) }
	return slices.EqualFunc(slices.SortedFunc(slices.Values(a), byPath), slices.SortedFunc(slices.Values(b), byPath),
		func(a, b daemonset.File) bool {
			return a.Path == b.Path && a.Absent == b.Absent && bytes.Equal(a.Data, b.Data)
		})
}

// reach looks whether the goal is reached, and changes what is not as wanted.
func (a *Applier) reach(ctx context.Context, job Job, want goal, rec *state.Record) (unchanged bool, err error) {
	if want.digest == rec.Digest && len(want.gone) == 0 && !rec.Owed && !job.Look {
		return true, nil
	}
	c, err := enter(ctx, job)
	if err != nil {
		return false, err
	}
	defer c.Close()
	if want.files, err = a.named(ctx, job, c.init, want.files); err != nil {
		return false, err
	}
	if c.successor(rec.Process) {
		rec.Owed = true // another server than the one that was proved
	}
	if want.digest == rec.Digest && len(want.gone) == 0 && !rec.Owed {
		inside, err := a.cross(ctx, c, request(shim.Compare, want.files, job.Target.Container))
		if err != nil {
			return false, err
		}
		if !inside.Changed() {
			a.vouch(job, c, want)
			return true, nil
		}
	}
	if err := a.change(ctx, job, c, want, rec); err != nil {
		return false, err
	}
	a.vouch(job, c, want)
	return false, nil
}

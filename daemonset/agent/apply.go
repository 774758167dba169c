package agent

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/source"
	"github.com/podreload/podreload/daemonset/state"
	"github.com/podreload/podreload/daemonset/turns"
	"github.com/podreload/podreload/nsenter"
)

// Applier carries out single applies. It has no goroutines and no memory of targets:
// what it must know of one it reads from the store under the target's lock, so
// the daemon and a manual command beside it take turns and agree.
type Applier struct {
	Store   *state.Store
	Shim    *nsenter.Shim
	Checker Checker
	Exec    Runner        // for reload_cmd
	Timeout time.Duration // the bound of each wait: for the lock, the crossing, the proof

	By   string                // who changes things: daemon, or a command and who gave it
	Log  logrus.FieldLogger    // gets a line for each change
	Tell func(daemonset.Event) // and this the change itself; nil: nobody

	// Phase is told how long each of Phases took, however it ended. It is called by many
	// goroutines. Nil: nobody wants to know.
	Phase func(name string, took time.Duration)

	once  sync.Once
	turns *turns.Turns // one for each crossing under way
}

// Outcome is what one apply came to.
type Outcome struct {
	Status    daemonset.Status
	Wrote     []string // the paths that were changed inside, also where they went back
	Unchanged bool     // the files were in place and no reload was owed: nothing was done

	draining *int // old workers that finish their requests still; nil: no reload was proved
}

// Apply makes one pass: render, check, cross, signal, prove. The error is nil
// only if the target is Live or Applied afterwards (or Stale: in place, of an
// older revision than etcd may have); it is also in the Status, with the state
// that it means. The status is saved before Apply returns.
//
// An apply is a transaction. The record says what is begun before the first file
// changes, and how to finish or undo it: the next Apply, of this or any later
// process, does one of the two, and signals again though the files are equal,
// until a reload is proved. When it shows not to have taken, the previous files
// come back, are signalled and proved in turn.
func (a *Applier) Apply(ctx context.Context, job Job) (Outcome, error) {
	if err := job.undecided(); err != nil {
		return Outcome{Status: newStatus(job.Target)}, err
	}
	unlock, err := a.lock(ctx, job.Target.Container.ID)
	if err != nil {
		return Outcome{}, err
	}
	defer unlock()
	// Whoever gave up may have removed the record since: it must not come back.
	if err := ctx.Err(); err != nil {
		return Outcome{}, err
	}

	job.did = &deed{}
	rec := a.record(job.Target)
	before := rec
	before.Good = slices.Clone(rec.Good)
	if job.offer != nil {
		s := job.offer(rec.Revision)
		job.Snapshot, job.Away, job.Good, job.earlier, job.rendering = s.snapshot, s.away, s.best, s.earlier, s.rendering
	}
	unchanged, err := a.pass(ctx, job, &rec)
	conclude(&rec.Status, job, err)
	if !unchanged || before.State != rec.State || before.Reason != rec.Reason || before.Revision != rec.Revision ||
		!slices.Equal(before.Good, rec.Good) || !slices.Equal(before.Filled, rec.Filled) ||
		!reflect.DeepEqual(before.Leave, rec.Leave) || !reflect.DeepEqual(before.Answers, rec.Answers) {
		saveErr := a.Store.Save(rec)
		if saveErr != nil {
			err = errors.Join(err, fmt.Errorf("keep the record of %s: %w", job.Target.Container, saveErr))
		}
		if before.Next != nil && rec.Next == nil && err == nil {
			job.did.conclude(rec)
		}
		a.account(job, rec)
		if saveErr == nil {
			a.Store.Tidy(rec)
		}
	}
	return Outcome{Status: rec.Status, Wrote: job.did.wrote, Unchanged: unchanged && err == nil, draining: job.did.draining}, err
}

// conclude writes what a pass came to into the status.
func conclude(status *daemonset.Status, job Job, err error) {
	status.Updated, status.RetryAt = time.Now(), time.Time{}
	switch {
	case errors.Is(err, context.Canceled):
		// No failure: somebody ended podreload, or the container's worker.
		status.State, status.Reason = daemonset.Waiting, "stopped half way; the next apply finishes it"
		return
	case err != nil:
		fail(status, StateOf(err), err)
		return
	case errors.Is(job.Away, source.ErrConnecting) && (status.State == daemonset.Live || status.State == daemonset.Applied):
		// It was so before this agent, which will know in a moment whether etcd answers.
	case job.Away != nil:
		status.State = daemonset.Stale
		status.Reason = fmt.Sprintf("the files of revision %d are in place: %v", status.Revision, job.Away)
	default:
		status.State, status.Reason = daemonset.Applied, ""
		if preset, known, _ := presetOf(job.profile()); known && preset.Proves() {
			status.State = daemonset.Live
		}
		if status.Unchecked != "" {
			status.Reason = "in place unchecked: " + status.Unchecked
		}
	}
	status.Failures = 0
}

func (a *Applier) lock(ctx context.Context, id string) (func(), error) {
	ctx, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	unlock, err := a.Store.Lock(ctx, id)
	if errors.Is(err, state.ErrLocked) {
		err = fmt.Errorf("another apply is under way: %w", err)
	}
	return unlock, err
}

// record reads what is known of the target. A container that is seen for the
// first time, or under another profile, or whose record makes no sense, owes a
// reload: files that happen to be in place do not show what its server has read. What
// another profile left there is taken over: the way back, what was begun, the files that are to go,
// the server, and what name servers said.
func (a *Applier) record(t daemonset.Target) state.Record {
	rec, err := a.Store.Load(t.Container.ID)
	switch {
	case err != nil:
		return state.Record{Status: newStatus(t)}
	case rec.Profile != t.Profile:
		fresh := state.Record{
			Status: newStatus(t), Good: rec.Good, Next: rec.Next, Filled: rec.Filled, Told: rec.Told, Leave: rec.Leave, Answers: rec.Answers,
		}
		fresh.Process = rec.Process
		return fresh
	}
	return rec
}

func newStatus(t daemonset.Target) daemonset.Status {
	return daemonset.Status{
		ContainerID: t.Container.ID,
		Name:        t.Container.Name,
		Pod:         t.Container.Pod.Name,
		Namespace:   t.Container.Pod.Namespace,
		Profile:     t.Profile,
		State:       t.State,
		Reason:      t.Reason,
		Owed:        true,
	}
}

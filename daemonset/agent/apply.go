package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/source"
	"github.com/podreload/podreload/daemonset/state"
	"github.com/podreload/podreload/daemonset/template"
	"github.com/podreload/podreload/daemonset/verify"
	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/shim"
)

// Applier carries out single applies. It has no goroutines and no memory: what
// it must know of a target it reads from the store under the target's lock, so
// the daemon and a manual command beside it take turns and agree.
type Applier struct {
	Store   *state.Store
	Shim    *nsenter.Shim
	Timeout time.Duration // the bound of each wait: for the lock, the crossing, the proof

	once  sync.Once
	turns chan struct{} // one taken for each crossing under way
}

// Job is what one apply works from.
type Job struct {
	Target   daemonset.Target
	Profile  *template.Profile
	Snapshot *source.Snapshot // nil: etcd has not been read yet, Away says why
	Away     error            // why Snapshot may be old; nil if it is fresh

	// Look compares the files inside even though nothing is known to have
	// changed: the search for drift, and what a person expects of `apply`.
	Look bool
}

// Outcome is what one apply came to.
type Outcome struct {
	Status    daemonset.Status
	Unchanged bool // the files were in place and no reload was owed: nothing was done
}

// Apply makes one pass: render, cross, signal, prove. The error is nil only if
// the target is Live or Applied afterwards; it is then also in the Status, with
// the state that it means. The status is saved before Apply returns.
//
// A reload that is begun is owed until it is proved: the record says so before
// the first file changes, and the next Apply, of this or any later process,
// signals again though the files are equal.
func (a *Applier) Apply(ctx context.Context, job Job) (Outcome, error) {
	if job.Target.State != "" {
		err := failed(job.Target.State, errors.New(job.Target.Reason))
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

	status := a.record(job.Target)
	before := status
	unchanged, err := a.pass(ctx, job, &status)
	conclude(&status, job, err)
	if !unchanged || before.State != status.State || before.Reason != status.Reason || before.Revision != status.Revision {
		if saveErr := a.Store.Save(status); saveErr != nil {
			err = errors.Join(err, fmt.Errorf("keep the record of %s: %w", job.Target.Container, saveErr))
		}
	}
	return Outcome{Status: status, Unchanged: unchanged && err == nil}, err
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
	case job.Away != nil:
		status.State = daemonset.Stale
		status.Reason = fmt.Sprintf("the files of revision %d are in place: %v", job.Snapshot.Revision(), job.Away)
	case job.Profile.Process != "":
		status.State, status.Reason = daemonset.Live, ""
	default:
		status.State, status.Reason = daemonset.Applied, ""
	}
	status.Failures, status.Revision = 0, job.Snapshot.Revision()
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
// reload: files that happen to be in place do not show what its server has read.
func (a *Applier) record(t daemonset.Target) daemonset.Status {
	status, err := a.Store.Load(t.Container.ID)
	if err != nil || status.Profile != t.Profile {
		return newStatus(t)
	}
	return status
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

// pass does the work of Apply on a loaded status. It answers whether nothing
// had to be done.
func (a *Applier) pass(ctx context.Context, job Job, status *daemonset.Status) (unchanged bool, err error) {
	if err := supported(job); err != nil {
		return false, err
	}
	if job.Snapshot == nil {
		return false, failed(daemonset.Waiting, fmt.Errorf("nothing to apply yet: %w", job.Away))
	}
	files, err := job.Profile.Render(job.Snapshot, template.FactsOf(job.Target.Container))
	if err != nil {
		return false, failed(daemonset.Failed, err)
	}
	digest := daemonset.Digest(files)
	if digest == status.Digest && !status.Owed && !job.Look {
		return true, nil
	}

	c, err := enter(ctx, job)
	if err != nil {
		return false, err
	}
	defer c.Close()
	if c.successor(status.Process) {
		status.Owed = true // another server than the one that was proved
	}
	if digest == status.Digest && !status.Owed {
		inside, err := a.cross(ctx, c, request(shim.Compare, files, job.Target.Container))
		if err != nil {
			return false, err
		}
		if !inside.Changed() {
			return true, nil
		}
	}
	return false, a.change(ctx, job, c, files, status)
}

// change is the part of a pass that leaves traces: from the first file on, the
// reload is owed.
func (a *Applier) change(ctx context.Context, job Job, c *crossing, files []daemonset.File, status *daemonset.Status) error {
	req := request(shim.Apply, files, job.Target.Container)
	if c.server != nil {
		req.Signal, req.Always = int(c.signal), status.Owed
	}
	owed := status.Owed
	status.Owed = true
	if err := a.Store.Save(*status); err != nil {
		return failed(daemonset.Failed, fmt.Errorf("note the owed reload: %w", err))
	}
	done, err := a.turn(ctx)
	if err != nil {
		return err
	}
	defer done()
	// What is proved must have been seen before the signal, but no longer ago
	// than needs be.
	proof, err := c.before()
	if err != nil {
		return err
	}
	if proof != nil {
		defer proof.Close()
	}
	result, err := a.carry(ctx, c, req)
	done()
	if err != nil {
		return err
	}
	status.Digest = daemonset.Digest(files)
	status.Files = fileStatus(files, result)
	switch {
	case c.waiting != nil:
		return failed(daemonset.Waiting, fmt.Errorf("the files are in place, the reload waits: %w", c.waiting))
	case result.Signalled && proof != nil:
		if err := a.prove(ctx, proof); err != nil {
			return err
		}
		status.Reloads++
		status.Reloaded = time.Now()
	case !result.Signalled && (owed || result.Changed()) && c.server != nil:
		return failed(daemonset.Failed, fmt.Errorf("%w: the shim did not signal process %d", ErrNotVerified, c.server.Pid()))
	}
	status.Process = c.process()
	status.Owed = false
	return nil
}

func (a *Applier) prove(ctx context.Context, proof *verify.Proof) error {
	ctx, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	if err := proof.Wait(ctx); err != nil {
		return failed(daemonset.Failed, fmt.Errorf("%w: %w", ErrNotVerified, err))
	}
	return nil
}

// maxCrossings is how many crossings are under way at once. It is less than
// nsenter has room for, so that shims which were given up on and hang in the
// kernel still are no hindrance.
const maxCrossings = 24

// turn waits until a crossing may begin. That is not part of any deadline:
// containers that hang must not use up the time of those behind them, which is
// bounded by theirs. The result may be called twice.
func (a *Applier) turn(ctx context.Context) (done func(), err error) {
	a.once.Do(func() { a.turns = make(chan struct{}, maxCrossings) })
	select {
	case a.turns <- struct{}{}:
		return sync.OnceFunc(func() { <-a.turns }), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for other crossings: %w", ctx.Err())
	}
}

// cross carries one request in and its result out, when it is its turn.
func (a *Applier) cross(ctx context.Context, c *crossing, req shim.Request) (shim.Result, error) {
	done, err := a.turn(ctx)
	if err != nil {
		return shim.Result{}, err
	}
	defer done()
	return a.carry(ctx, c, req)
}

func (a *Applier) carry(ctx context.Context, c *crossing, req shim.Request) (shim.Result, error) {
	// A crossing that has begun is finished: it takes milliseconds, and a
	// stop half way would only be work for the next start.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.Timeout)
	defer cancel()
	body, err := req.Encode()
	if err != nil {
		return shim.Result{}, failed(daemonset.Invalid, err)
	}
	reply, err := a.Shim.Cross(ctx, c.init, c.server, body)
	if err != nil {
		return shim.Result{}, failed(crossingState(err), err)
	}
	result, err := shim.DecodeResult(reply)
	if err != nil {
		return shim.Result{}, failed(daemonset.Failed, err)
	}
	if result.Error != nil {
		return result, failed(insideState(result.Error), result.Error)
	}
	return result, nil
}

package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/podreload/podreload/daemonset"
)

// How soon a worker looks again. Waiting has its own, shorter steps: a
// container that has just started has its server within milliseconds, and no
// event says when.
const (
	retryFirst, retryLongest = time.Second, time.Minute
	waitFirst, waitLongest   = 20 * time.Millisecond, 5 * time.Second
)

// worker keeps one target as it should be. Its goroutine is [worker.run],
// started and ended by the Agent; nothing else calls Apply for the target in
// this process.
type worker struct {
	target  daemonset.Target
	feed    *feed
	applier *Applier
	resync  time.Duration
	log     logrus.FieldLogger

	poke   chan struct{} // capacity 1
	cancel context.CancelFunc
	done   chan struct{}
}

// wake makes the worker look at what is true now. It never blocks.
func (w *worker) wake() {
	select {
	case w.poke <- struct{}{}:
	default:
	}
}

func (w *worker) run(ctx context.Context) {
	defer close(w.done)
	w.wake()
	timer := time.NewTimer(jitter(w.resync))
	defer timer.Stop()
	var last daemonset.Status
	for {
		look := false
		select {
		case <-ctx.Done():
			return
		case <-w.poke:
		case <-timer.C:
			look = true
		}
		status := w.pass(ctx, look)
		if ctx.Err() != nil {
			return
		}
		w.report(last, status)
		last = status
		timer.Reset(w.next(status))
	}
}

// pass applies the newest snapshot and answers how the target stands.
func (w *worker) pass(ctx context.Context, look bool) daemonset.Status {
	snapshot, away := w.feed.sub.Current()
	if snapshot == nil {
		if away == nil {
			away = errors.New("the first read of etcd is under way")
		}
		return w.note(ctx, daemonset.Waiting, away)
	}
	outcome, err := w.applier.Apply(ctx, Job{Target: w.target, Profile: w.feed.profile, Snapshot: snapshot, Look: look})
	if outcome.Status.ContainerID == "" && err != nil { // the record itself could not be had
		return w.note(ctx, daemonset.Failed, err)
	}
	if err == nil && away != nil {
		return w.note(ctx, daemonset.Stale, fmt.Errorf("the files of revision %d are in place: %w", outcome.Status.Revision, away))
	}
	return outcome.Status
}

// note puts the target into a state that no apply came to.
func (w *worker) note(ctx context.Context, state daemonset.State, err error) daemonset.Status {
	status, noteErr := w.applier.note(ctx, w.target, state, err.Error())
	if noteErr != nil {
		w.log.WithError(noteErr).Error("cannot keep the record of the target")
	}
	return status
}

// next is how long until the worker looks again without being woken.
func (w *worker) next(s daemonset.Status) time.Duration {
	switch s.State {
	case daemonset.Live, daemonset.Applied, daemonset.Stale:
		return jitter(w.resync)
	case daemonset.Waiting:
		return min(backoff(s.Failures, waitFirst, waitLongest), w.resync)
	}
	return min(backoff(s.Failures, retryFirst, retryLongest), w.resync)
}

// report logs what changed since the last pass: once, not at every retry.
func (w *worker) report(before, now daemonset.Status) {
	if before.State == now.State && before.Reason == now.Reason && before.Reloads == now.Reloads && before.Digest == now.Digest {
		return
	}
	log := w.log.WithFields(logrus.Fields{"state": now.State, "revision": now.Revision})
	switch now.State {
	case daemonset.Live, daemonset.Applied:
		log.WithField("reloads", now.Reloads).Info("the configuration is in place")
	case daemonset.Waiting:
		log.Info(now.Reason)
	default:
		log.WithField("failures", now.Failures).Warn(now.Reason)
	}
}

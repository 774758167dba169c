package agent

import (
	"context"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/podreload/podreload/daemonset"
)

// worker keeps one target as it should be. Its goroutine is [worker.run],
// started and ended by the Agent; nothing else calls Apply for the target in
// this process.
type worker struct {
	job     Job   // what it works on; each pass adds what etcd holds
	feed    *feed // nil where it retires
	applier *Applier
	resync  time.Duration
	log     logrus.FieldLogger
	tell    func(daemonset.Event)
	stand   stand

	poke   chan struct{} // capacity 1
	cancel context.CancelFunc
}

// wake makes the worker look at what is true now. It never blocks.
func (w *worker) wake() {
	select {
	case w.poke <- struct{}{}:
	default:
	}
}

func (w *worker) run(ctx context.Context) {
	w.wake()
	var resync time.Time // at once: with another profile equal files may mean something else
	var unseen bool      // the last look did not come to its end
	timer := time.NewTimer(w.resync)
	defer timer.Stop()
	count := time.NewTimer(w.resync)
	count.Stop()
	defer count.Stop()
	w.stand.begin(w.applier.record(w.job.Target).Status)
	status, said := w.stand.view().Status, daemonset.Status{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.poke:
		case <-timer.C:
		case <-count.C:
			if w.stand.census(w.job, nil) {
				count.Reset(countEvery)
			}
			continue
		}
		// By the clock, not by what woke us: keys that change all the time
		// must not keep drift from being found.
		look := unseen || !time.Now().Before(resync)
		outcome := w.pass(ctx, status, look)
		status = outcome.Status
		// Else the next pass would take the record's word for what this one has failed to set right.
		unseen = look && !status.RetryAt.IsZero()
		if ctx.Err() != nil {
			return
		}
		w.stand.note(status)
		if worthALine(said, status) {
			w.report(status)
			said = status
		}
		if w.stand.census(w.job, outcome.draining) {
			count.Reset(countEvery)
		}
		if w.job.Retire && status.RetryAt.IsZero() && status.State != daemonset.Paused {
			return // for the rest of the container's life
		}
		if look {
			resync = time.Now().Add(jitter(w.resync))
		}
		next := resync
		if !status.RetryAt.IsZero() && status.RetryAt.Before(next) {
			next = status.RetryAt
		}
		timer.Reset(time.Until(next))
	}
}

// pass applies the newest snapshot and answers how the target stands.
func (w *worker) pass(ctx context.Context, before daemonset.Status, look bool) Outcome {
	job := w.job
	job.Look = look
	var s offer
	if w.feed != nil {
		job.offer = func(revision int64) offer {
			s = w.feed.since(revision)
			return s
		}
	}
	outcome, err := w.applier.Apply(ctx, job)
	if err != nil && outcome.Status.ContainerID == "" {
		// The lock was not to be had: the record is for its holder to write.
		fail(&before, daemonset.Failed, err)
		return Outcome{Status: before}
	}
	if s.snapshot != nil && err == nil {
		w.feed.good(s)
	}
	return outcome
}

// countEvery is how often old workers are counted while there are any.
const countEvery = 15 * time.Second

// shortWait is how many looks in a row a target may wait without a line in the
// log, 0.2 s in all: each start of a server and of the agent has such a moment.
const shortWait = 4

// worthALine answers whether something is new since the last line: what stays so
// is said once, not at every try.
func worthALine(said, now daemonset.Status) bool {
	if now.State == daemonset.Waiting && now.Failures <= shortWait {
		return false
	}
	return now.State != said.State || now.Reason != said.Reason || now.Reloads != said.Reloads || now.Digest != said.Digest
}

func (w *worker) report(now daemonset.Status) {
	w.tell(daemonset.Event{Kind: daemonset.Turn, State: now.State, Reason: now.Reason, Revision: now.Revision, Digest: now.Digest}.About(now))
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

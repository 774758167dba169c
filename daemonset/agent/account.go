package agent

import (
	"strings"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/state"
	"github.com/podreload/podreload/daemonset/verify"
	"github.com/podreload/podreload/shim"
)

// deed is what an apply has changed inside.
type deed struct {
	wrote    []string
	signal   string
	ran      []string
	revision int64  // of what was tried, also where it went back
	digest   string // the same
	back     bool   // what was placed last were the previous files
	finished bool   // what was begun before is done
	draining *int   // old workers that finish their requests still; nil: no reload was proved
}

// place notes what one crossing has changed.
func (d *deed) place(want goal, rec *state.Record, result shim.Result, signal int) {
	for _, f := range result.Files {
		if f.Changed {
			d.wrote = append(d.wrote, f.Path)
		}
	}
	if result.Signalled {
		d.signal = verify.SignalName(syscall.Signal(signal))
	}
	if d.revision = want.revision; want.back && rec.Next != nil {
		d.revision = rec.Next.Revision
	}
	d.back = want.back
	if d.digest == "" || !want.back {
		d.digest = want.digest
	}
}

// conclude notes that what an earlier apply has begun is done, though there was nothing left to change.
func (d *deed) conclude(rec state.Record) {
	if d.finished = true; d.digest == "" {
		d.revision, d.digest = rec.Revision, rec.Digest
	}
}

// account tells of what an apply has changed, if anything: in the log, in the target's history,
// and to who listens. The caller holds the container's lock.
func (a *Applier) account(job Job, rec state.Record) {
	did := job.did
	what := "changed"
	if len(did.wrote) == 0 && did.signal == "" && len(did.ran) == 0 {
		if !did.finished {
			return
		}
		what = "what was begun before is done"
	}
	e := state.Entry{Event: daemonset.Event{
		Time: time.Now(), Kind: daemonset.Change, By: a.By, State: rec.State, Reason: rec.Reason,
		Revision: did.revision, Digest: did.digest, Wrote: did.wrote, Signal: did.signal, Ran: did.ran,
	}.About(rec.Status)}
	if rec.Next == nil && !rec.Owed && did.digest == rec.Digest && !did.back {
		e.Files = rec.Good
	}
	log := a.log().WithFields(Fields(job.Target)).WithFields(logrus.Fields{"by": e.By, "revision": e.Revision, "state": e.State})
	if err := a.Store.Tell(job.Target.Container.String(), e); err != nil {
		log.WithError(err).Warn("not all of a change is in the target's history")
	}
	log.WithFields(logrus.Fields{"wrote": strings.Join(e.Wrote, ","), "signal": e.Signal, "ran": strings.Join(e.Ran, "; ")}).Info(what)
	if a.Tell != nil {
		a.Tell(e.Event)
	}
}

func (a *Applier) log() logrus.FieldLogger {
	if a.Log == nil {
		return logrus.StandardLogger()
	}
	return a.Log
}

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/source"
	"github.com/podreload/podreload/daemonset/state"
	"github.com/podreload/podreload/daemonset/template"
)

// Keys that change all the time must not wear the disk out: snapshots that have shown to be good
// are gathered before they go there, the longer the more had to be written last.
const (
	gather   = 5 * time.Second
	keepRate = 512 << 10 // bytes a second; 100 MB go there every 200 s
	keepPart = 20        // and no more than this part of the time
)

// What is kept is looked over so often, and when so many bytes were added for the way back.
const (
	trimEvery = time.Hour
	trimAfter = 16 << 20
)

// keeper keeps the newest snapshots that led to live configurations, for containers that
// start while etcd is away or holds what does not work. Its goroutine is [keeper.run], started
// and ended by the Agent.
type keeper struct {
	store     *state.Store
	log       logrus.FieldLogger
	trimAfter int

	mu      sync.Mutex
	pending map[string]good
	used    map[string]int           // how many feeds are of what is kept under a key
	secret  map[string][]state.Saved // by profile: what of it is sensitive, by resource and path
	wake    chan struct{}            // capacity 1
}

type good struct {
	profile   string
	sensitive bool
	snapshot  *source.Snapshot
}

func newKeeper(store *state.Store, log logrus.FieldLogger) *keeper {
	return &keeper{store: store, log: log, trimAfter: trimAfter, pending: map[string]good{}, used: map[string]int{}, wake: make(chan struct{}, 1)}
}

// keep takes a snapshot that has shown to be good. It never blocks.
func (k *keeper) keep(b *template.Bound, s *source.Snapshot) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pending[keptKey(b)] = good{profile: b.Profile.Name, sensitive: hasSensitive(b), snapshot: s}
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// use notes that pods are there, or no longer, that may want what is kept for b.
func (k *keeper) use(b *template.Bound, feeds int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key := keptKey(b)
	if k.used[key] += feeds; k.used[key] == 0 {
		delete(k.used, key)
	}
}

// know takes what the profiles say by now of what is sensitive.
func (k *keeper) know(profiles []*template.Profile) {
	secret := map[string][]state.Saved{}
	for _, p := range profiles {
		for _, r := range p.Resources {
			if r.Sensitive {
				secret[p.Name] = append(secret[p.Name], state.Saved{Resource: r.Name, Path: r.Dest})
			}
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.secret = secret
}

// sensitive is what [keeper.know] has taken; nobody changes it.
func (k *keeper) sensitive() map[string][]state.Saved {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.secret
}

// inUse are the keys of what pods may want.
func (k *keeper) inUse() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.AppendSeq([]string{}, maps.Keys(k.used)) // not nil: they are known
}

// run writes what is to be kept until ctx ends, and what is left then.
func (k *keeper) run(ctx context.Context) {
	trim := time.NewTimer(0)
	defer trim.Stop()
	used := func() []string { return nil } // which pods there are is not known at the start
	var due <-chan time.Time               // when to write; nil: there is nothing
	var rested time.Time                   // until when the disk rests
	for {
		select {
		case <-ctx.Done():
			k.flush()
			return
		case <-trim.C:
			if err := k.store.Trim(time.Now(), used(), k.sensitive()); err != nil {
				k.log.WithError(err).Warn("of what is kept below --root not all that is old is dropped; it is tried again in an hour")
			}
			used = k.inUse
			trim.Reset(trimEvery)
		case <-k.wake:
			if due == nil {
				due = time.After(max(gather, time.Until(rested)))
			}
			if k.store.Added() >= k.trimAfter {
				trim.Reset(0)
			}
		case <-due:
			rested, due = time.Now().Add(k.flush()), nil
		}
	}
}

// flush writes what is to be kept, and says how long the disk is to rest after that.
func (k *keeper) flush() (rest time.Duration) {
	k.mu.Lock()
	pending := k.pending
	k.pending = map[string]good{}
	k.mu.Unlock()
	began, wrote := time.Now(), 0
	for key, g := range pending {
		if err := k.store.KeepSnapshot(key, g.sensitive, func(to io.Writer) error {
			return g.snapshot.Encode(counting{to, &wrote})
		}); err != nil {
			k.log.WithError(err).WithFields(logrus.Fields{"profile": g.profile, "revision": g.snapshot.Revision()}).
				Warn("what is live is not kept for pods that start while etcd is away; the next change tries again")
		}
	}
	return max(keepPart*time.Since(began), time.Duration(wrote)*time.Second/keepRate)
}

// counting counts what is written.
type counting struct {
	io.Writer
	n *int
}

func (c counting) Write(b []byte) (int, error) {
	n, err := c.Writer.Write(b)
	*c.n += n
	return n, err
}

// keptKey names what is kept of a profile for pods with these keys.
func keptKey(b *template.Bound) string {
	return b.Profile.Name + "\x00" + strings.Join(b.Keys(), "\x00")
}

func hasSensitive(b *template.Bound) bool {
	return slices.ContainsFunc(b.Resources, func(r *template.Resource) bool { return r.Sensitive })
}

// lastGood is the newest snapshot of the job's keys that led to a live configuration on this node, and when
// that was noted; the zero time where it was by this agent.
func (a *Applier) lastGood(job Job) (*source.Snapshot, time.Time, error) {
	if job.Good != nil {
		return job.Good, time.Time{}, nil
	}
	if job.earlier != nil {
		return job.earlier.load()
	}
	return a.earlier(job.Bound).load()
}

// earlier is what was kept of a feed before there was one, read once by the first who asks.
type earlier struct {
	load func() (*source.Snapshot, time.Time, error)
}

func (a *Applier) earlier(b *template.Bound) *earlier {
	type kept struct {
		snapshot *source.Snapshot
		at       time.Time
	}
	read := sync.OnceValues(func() (k kept, err error) {
		from, at, err := a.Store.Snapshot(keptKey(b), hasSensitive(b))
		if err != nil {
			return k, err
		}
		s, err := source.ReadSnapshot(from)
		return kept{s, at}, errors.Join(err, from.Close())
	})
	return &earlier{func() (*source.Snapshot, time.Time, error) {
		k, err := read()
		return k.snapshot, k.at, err
	}}
}

// begin is what a feed may begin with. Where it cannot be had, all is read.
func (e *earlier) begin() *source.Snapshot {
	s, _, err := e.load()
	if err != nil {
		return nil
	}
	return s
}

// newcomer is the goal of a container in which nothing was applied yet, where there is nothing better:
// what the last good snapshot makes of the profile. Why is what is better, and cannot be had.
func (a *Applier) newcomer(ctx context.Context, job Job, rec *state.Record, why error) (goal, error) {
	waiting := failed(daemonset.Waiting, fmt.Errorf("nothing to apply yet: %w", why))
	if errors.Is(why, source.ErrConnecting) {
		return goal{}, waiting // it will have answered in a moment
	}
	snapshot, at, err := a.lastGood(job)
	switch {
	case errors.Is(err, state.ErrNotFound):
		return goal{}, waiting
	case err != nil: // nothing depends on it, so what it is in place of counts
		return goal{}, failed(daemonset.Waiting, fmt.Errorf("nothing to apply yet: %w; nor is there anything from before: %w", why, err))
	}
	job.Snapshot = snapshot
	files, err := a.render(ctx, job, rec)
	if err != nil {
		return goal{}, errors.Join(waiting, err)
	}
	want := goalOf(files, snapshot.Revision(), rec)
	want.snapshot = snapshot
	since := "that was live before"
	if !at.IsZero() {
		since = "that was live at " + at.Format(time.RFC3339)
	}
	want.instead = failed(stateInstead(why), fmt.Errorf("the last good files of this node stand in, of revision %d, %s: %w", snapshot.Revision(), since, why))
	return want, nil
}

// stateInstead is the state of a target that has the last good files because of err.
func stateInstead(err error) daemonset.State {
	if state := StateOf(err); state == daemonset.Refused || state == daemonset.RolledBack || state == daemonset.Invalid {
		return state
	}
	return daemonset.Stale
}

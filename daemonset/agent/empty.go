package agent

import (
	"fmt"
	"slices"
	"strings"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/source"
	"github.com/podreload/podreload/daemonset/state"
)

// filled are the job's keys below which the snapshot has others.
func filled(job Job) (keys []string) {
	for _, key := range job.Bound.Keys() {
		if hasBelow(job.Snapshot, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

func hasBelow(s *source.Snapshot, key string) bool {
	for k := range s.Range(key) {
		if k != key {
			return true
		}
	}
	return false
}

// emptied refuses a snapshot in which all is gone below a key of the profile: whoever
// deletes by the wrong prefix must not empty the files of every pod. A single key that
// is deleted takes effect, as in confd.
func (a *Applier) emptied(job Job, rec *state.Record) error {
	if job.profile().AllowEmpty {
		return nil
	}
	now := filled(job)
	had := rec.Filled
	if rec.Revision == 0 && len(now) < len(job.Bound.Keys()) {
		had = append(slices.Clip(had), a.filledElsewhere()...) // a pod that starts meanwhile
	}
	var empty []string
	for _, key := range job.Bound.Keys() {
		if slices.Contains(had, key) && !slices.Contains(now, key) {
			empty = append(empty, key)
		}
	}
	if len(empty) == 0 {
		return nil
	}
	err := fmt.Errorf("etcd had keys below %s, and has none at revision %d: held; put them back, or set allow_empty = true in [profile] if that is meant",
		strings.Join(empty, ", "), job.Snapshot.Revision())
	if rec.Revision == 0 {
		return failed(daemonset.Waiting, err)
	}
	return failed(daemonset.Stale, fmt.Errorf("the files in place stay: %w", err))
}

// filledElsewhere is what other targets of this node found filled, also such as have gone.
func (a *Applier) filledElsewhere() []string {
	keys := a.Store.Filled()
	records, _ := a.Store.List() // of those that make no sense nothing is known
	for _, r := range records {
		keys = append(keys, r.Filled...)
	}
	return keys
}

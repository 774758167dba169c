package agent

import (
	"fmt"
	"slices"
	"strings"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/source"
	"github.com/podreload/podreload/daemonset/state"
)

// filled are those of all keys below which the snapshot has others.
func filled(all []string, s *source.Snapshot) (keys []string) {
	for _, key := range all {
		if hasBelow(s, key) {
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
	all := job.Bound.Keys()
	now, had := filled(all, job.Snapshot), rec.Filled
	if len(had) == 0 && len(now) < len(all) { // a pod that starts meanwhile
		if good, _, err := a.lastGood(job); err == nil {
			had = append(slices.Clip(had), filled(all, good)...)
		}
	}
	var empty []string
	for _, key := range all {
		if slices.Contains(had, key) && !slices.Contains(now, key) {
			empty = append(empty, key)
		}
	}
	if len(empty) == 0 {
		return nil
	}
	err := fmt.Errorf("etcd had keys below %s, and has none at revision %d: held; put them back, or set allow_empty = true in [profile] if that is meant",
		strings.Join(empty, ", "), job.Snapshot.Revision())
	if isNew(rec) {
		return failed(daemonset.Waiting, err)
	}
	return failed(daemonset.Stale, fmt.Errorf("the files in place stay: %w", err))
}

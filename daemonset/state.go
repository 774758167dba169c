package daemonset

import "time"

// State is how a target stands: one word, the same in tables, JSON and
// metrics, and always with a reason that a person can act on.
type State string

// The states of a target.
const (
	Live        State = "Live"        // in place and proved: the server runs with it
	Applied     State = "Applied"     // in place, but the profile has no rule for success
	Refused     State = "Refused"     // the check said no: nothing changed
	RolledBack  State = "RolledBack"  // the reload did not take: the previous files are back
	Failed      State = "Failed"      // retrying, with backoff
	Waiting     State = "Waiting"     // nothing to do it with yet: no server to signal, no etcd
	Paused      State = "Paused"      // a person said stop
	Ambiguous   State = "Ambiguous"   // which container is meant?
	Invalid     State = "Invalid"     // no such profile, or a bad resource
	Unsupported State = "Unsupported" // cannot be done here: runtime, read-only destination
	Stale       State = "Stale"       // the last good files are in place, etcd is away
)

// States are all of them.
var States = []State{Live, Applied, Refused, RolledBack, Failed, Waiting, Paused, Ambiguous, Invalid, Unsupported, Stale}

// Target is a container that a profile was chosen for, or a pod for which the
// choice failed: then State and Reason say why and Container may be empty but
// for its Pod.
type Target struct {
	Container Container `json:"container"`
	Profile   string    `json:"profile"`
	State     State     `json:"state,omitempty"`  // set when the choice itself failed
	Reason    string    `json:"reason,omitempty"` // why, and what to do
}

// Status is everything known of one target: what `ps` shows a line of, and
// what outlives the agent (package state keeps it).
type Status struct {
	ContainerID string `json:"containerID"`
	Name        string `json:"name"`
	Pod         string `json:"pod"`
	Namespace   string `json:"namespace"`
	Profile     string `json:"profile"`

	State  State  `json:"state"`
	Reason string `json:"reason,omitempty"`

	// Unchecked is why the files in place were not tried before.
	Unchecked string `json:"unchecked,omitempty"`

	Revision int64     `json:"revision,omitempty"` // etcd's revision of the snapshot that is live
	Digest   string    `json:"digest,omitempty"`   // identity of the files that are in place
	Reloaded time.Time `json:"reloaded,omitzero"`  // the last proved reload
	Reloads  int       `json:"reloads"`            // proved reloads by applies since the container started

	Files   []FileStatus `json:"files,omitempty"`
	Output  string       `json:"output,omitempty"`  // what the last reload commands said
	Process *Process     `json:"process,omitempty"` // the server that was signalled last

	// Owed is set before the first file changes and cleared when the reload
	// is verified: as long as it stands, equal files prove nothing.
	Owed bool `json:"owed,omitempty"`

	Failures int       `json:"failures,omitempty"` // in a row
	RetryAt  time.Time `json:"retryAt,omitzero"`   // when the agent tries again
	Updated  time.Time `json:"updated"`
}

// FileStatus is what happened to one file in the last apply.
type FileStatus struct {
	Path    string `json:"path"`
	Bytes   int    `json:"bytes"`
	Changed bool   `json:"changed"`
}

// Process is a server process, by both its numbers.
type Process struct {
	Pid       int    `json:"pid"`       // on the node
	NSPid     int    `json:"nsPid"`     // as the container sees it
	StartTime uint64 `json:"startTime"` // field 22 of /proc/PID/stat, in clock ticks since boot
	Exe       string `json:"exe"`       // the executable's path, as the container sees it
}

package daemonset

import "time"

// Kind is what an [Event] tells of.
type Kind string

// The kinds of events.
const (
	Change  Kind = "Change"  // files were written inside, or a server was told to reload
	Turn    Kind = "Turn"    // a target stands otherwise than before, and nothing was changed inside
	Start   Kind = "Start"   // a container is about to start: its files are there before, or why they are not
	Config  Kind = "Config"  // conf.d has changed, or cannot be read
	Etcd    Kind = "Etcd"    // etcd went away, or is back
	Runtime Kind = "Runtime" // containerd went away, or is back
	Daemon  Kind = "Daemon"  // the agent runs, or ends
)

// Event is something that happened on the node. That of a [Change] is what was done to a
// target, by whom and how it ended: a line of the audit log and of the target's history.
type Event struct {
	Time time.Time `json:"time"`
	Kind Kind      `json:"kind"`
	By   string    `json:"by"` // daemon, or the command with the user that gave it

	// The target; empty for what is the node's.
	ContainerID string `json:"containerID,omitempty"`
	Name        string `json:"name,omitempty"`
	Pod         string `json:"pod,omitempty"`
	Namespace   string `json:"namespace,omitempty"`
	Profile     string `json:"profile,omitempty"`

	State  State  `json:"state,omitempty"`  // of the target afterwards
	Reason string `json:"reason,omitempty"` // why, and what to do; never a file's contents

	Revision int64    `json:"revision,omitempty"` // etcd's, of the files
	Digest   string   `json:"digest,omitempty"`   // of the files
	Wrote    []string `json:"wrote,omitempty"`    // the paths that were changed inside
	Signal   string   `json:"signal,omitempty"`   // that was sent, such as HUP
	Ran      []string `json:"ran,omitempty"`      // the reload commands that were run inside
}

// About gives the event the target that a status is of.
func (e Event) About(s Status) Event {
	e.ContainerID, e.Name, e.Pod, e.Namespace, e.Profile = s.ContainerID, s.Name, s.Pod, s.Namespace, s.Profile
	return e
}

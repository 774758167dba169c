package daemonset

import "time"

// View is the node at one moment, as its agent sees it.
type View struct {
	Since  time.Time `json:"since"`  // when the agent began
	Listed bool      `json:"listed"` // the node's containers are known

	RuntimeAway string `json:"runtimeAway,omitempty"` // why containerd does not answer; empty: it does
	EtcdAway    string `json:"etcdAway,omitempty"`    // the same of etcd
	EtcdErrors  int    `json:"etcdErrors"`            // how often reading from it began to fail, since the agent began

	// Problems are what is wrong in conf.d that is no profile's: what stands there may be missing
	// among the profiles.
	Problems []string      `json:"problems,omitempty"`
	Profiles []ProfileView `json:"profiles"`
	Targets  []TargetView  `json:"targets"` // undecided ones as well: those have no container, or no profile that can be applied
	Feeds    []FeedView    `json:"feeds"`
}

// ProfileView is one profile of conf.d.
type ProfileView struct {
	Name   string `json:"name"`
	Reason string `json:"reason,omitempty"` // why it cannot be applied
}

// TargetView is one target, with what its agent knows beyond the record.
type TargetView struct {
	Status

	// Behind is since when etcd is known to hold something else than what is in place; zero:
	// it does not.
	Behind time.Time `json:"behind,omitzero"`

	// Draining are old workers of the server that still finish their requests; nil where
	// they cannot be told from others.
	Draining *int `json:"draining,omitempty"`

	// Results is how often applies came to a state, since the agent began or, if that was later, the
	// profile changed: those that reloaded, and the first of those in a row that failed in the same way.
	Results map[State]int `json:"results,omitempty"`

	Took   *bool     `json:"took,omitempty"`  // the last change of the configuration took; nil: there was none
	TookAt time.Time `json:"tookAt,omitzero"` // when one took last
}

// FeedView is how one set of keys is followed that a profile reads for some pods.
type FeedView struct {
	Profile  string    `json:"profile"`
	Settled  bool      `json:"settled"`            // it has values, or it is known why not
	Reason   string    `json:"reason,omitempty"`   // why they may be old; empty: they are followed
	Revision int64     `json:"revision,omitempty"` // the newest that is applied
	Known    time.Time `json:"known,omitzero"`     // since when it is known
}

package daemonset

import "time"

// Matcher describes a server for which there is no preset, as a profile's
// `process` may: how to find it, how to tell it to reload, and what shows that
// it did.
type Matcher struct {
	Exe     []string      `json:"exe"`    // base names that its executable may have
	Signal  string        `json:"signal"` // a short name such as HUP
	Success string        `json:"success"`
	After   time.Duration `json:"after,omitempty"` // for SuccessAlive
}

// What shows that a reload took.
const (
	SuccessChildren = "children" // every child of before is gone, and there are new ones
	SuccessAlive    = "alive"    // the same process has taken the signal and still runs a while after
	SuccessNone     = "none"     // nothing: it is signalled, and that is all that is known
)

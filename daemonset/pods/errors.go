package pods

import "errors"

var (
	// ErrAway says that containerd did not answer. What was listed before may
	// be out of date.
	ErrAway = errors.New("containerd does not answer")

	// ErrUnreadable says that one container, which the error names, could not
	// be read. Only that one is missing, or as it was last seen.
	ErrUnreadable = errors.New("cannot read container")
)

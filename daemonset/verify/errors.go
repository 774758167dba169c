package verify

import (
	"errors"

	"github.com/podreload/podreload/nsenter"
)

// The classes of failure. Errors wrap one of them and say which process, what
// was seen, and what to do.
var (
	// ErrUnknownPreset: no preset has that name.
	ErrUnknownPreset = errors.New("unknown process preset")

	// ErrBadMatcher: it says too little to find or to judge a server by.
	ErrBadMatcher = errors.New("matcher is not complete")

	// ErrBadSignal: that is not the name or number of a signal.
	ErrBadSignal = errors.New("unknown signal")

	// ErrNoServer: no server to signal runs in the container yet. It is worth
	// waiting for.
	ErrNoServer = errors.New("no server to signal yet")

	// ErrAmbiguous: more than one process could be meant.
	ErrAmbiguous = errors.New("more than one server")

	// ErrWouldKill: the process does not catch the signal, so that the kernel
	// would end it (or do nothing) instead of it reloading.
	ErrWouldKill = errors.New("signal not caught")

	// ErrUnprovable: the server runs in a way that shows no reload to anybody
	// outside.
	ErrUnprovable = errors.New("reload cannot be proved")

	// ErrNotTaken: the server runs, but not with what was reloaded.
	ErrNotTaken = errors.New("reload not taken")

	// ErrUnsure: its last reload may have been ours, or another that was under way: so busy
	// is the node that nobody looked in between. Who signals once more gets to know.
	ErrUnsure = errors.New("the reload cannot be told from another")

	// ErrGone: the process has ended. It is nsenter's, so that one test finds
	// both.
	ErrGone = nsenter.ErrGone
)

package check

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/podreload/podreload/daemonset"
)

// The classes of failure. Any error that is not ErrRefused is no verdict: nothing
// is known of the configuration.
var (
	// ErrRefused: the check command said no. The error is a [Refusal].
	ErrRefused = errors.New("refused by the check")

	// ErrUnsupported: no twin can be made of this container. It says what of it
	// stands in the way.
	ErrUnsupported = errors.New("check not possible here")

	// ErrDeadline: the command, or the making of its twin, took too long.
	ErrDeadline = errors.New("check took too long")

	// ErrKilled: the command was killed, for lack of memory mostly.
	ErrKilled = errors.New("check was killed")
)

// Refusal says which command refused, and what it said.
type Refusal struct {
	Command Command
	Exit    int       // as a shell tells it: 128 and the signal for one that was killed
	Output  string    // cleaned; of a trial with a sensitive file only places
	RetryAt time.Time // until then an equal trial gets this same refusal; zero when nothing is remembered
}

// Error is one line.
func (r *Refusal) Error() string {
	return fmt.Sprintf("%s: %s: %s", ErrRefused, r.Command, daemonset.OneLine(stamps.ReplaceAllString(r.said(), "")))
}

// stamps are the times that nginx puts before what it says. Without them the same
// refusal reads the same each time.
var stamps = regexp.MustCompile(`(?m)^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d `)

func (r *Refusal) said() string {
	if r.Output == "" {
		return fmt.Sprintf("exit code %d, and nothing said", r.Exit)
	}
	return r.Output
}

// Is makes a Refusal an ErrRefused.
func (r *Refusal) Is(target error) bool { return target == ErrRefused }

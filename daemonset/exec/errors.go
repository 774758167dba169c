package exec

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/podreload/podreload/daemonset"
)

// The ways in which a command can fail that a caller may want to tell apart. That it ended
// with another exit code than 0 is an [ExitError]; a [CutShortError] wraps what else befell it.
var (
	// ErrNotStarted: nothing was run. The error says why: no such program in the
	// container, no shell, a container that is paused.
	ErrNotStarted = errors.New("the command was not started")

	// ErrDeadline: the command took longer than its limit and was killed.
	ErrDeadline = errors.New("the command took too long")

	// ErrGone: the container has ended, before the command or under it.
	ErrGone = errors.New("the container is gone")

	// ErrAway: containerd does not answer. If the command was running it was killed, and
	// how far it came is not known.
	ErrAway = errors.New("containerd does not answer")
)

// ExitError says that the command ended, and not well.
type ExitError struct {
	Code   int
	Signal syscall.Signal // what it was killed by, if it was: containerd tells both by Code, as a shell does
	Output string         // cleaned, its first and its last
}

func exitError(code uint32, output string) *ExitError {
	e := &ExitError{Code: int(code), Output: output}
	if code > 128 && code <= 128+64 {
		e.Signal = syscall.Signal(code - 128)
	}
	return e
}

// Error is one line.
func (e *ExitError) Error() string {
	s := fmt.Sprintf("exit code %d", e.Code)
	if e.Signal != 0 {
		s += fmt.Sprintf(" (as of a process that signal %d ended: %s)", e.Signal, e.Signal)
	}
	if e.Output == "" {
		return s + ", and nothing said"
	}
	return s + ": " + daemonset.OneLine(e.Output)
}

// CutShortError says why a command was not waited for until its end, and what it had said.
type CutShortError struct {
	Err    error
	Output string // as ExitError's; never empty
}

// Error is one line.
func (e *CutShortError) Error() string {
	return e.Err.Error() + "; it had said: " + daemonset.OneLine(e.Output)
}

func (e *CutShortError) Unwrap() error { return e.Err }

func gone(why error) error { return fmt.Errorf("%w: %w", ErrGone, why) }

// explain gives an error of containerd's this package's name, where it has one.
func explain(err error) error {
	switch status.Code(err) {
	case codes.Unavailable:
		return fmt.Errorf("%w: %w", ErrAway, err)
	case codes.NotFound:
		return gone(err)
	}
	return err
}

// refused says why the runtime did not start a command. The runtime's words are all there
// is to go by: every version of runc and crun has them.
func refused(err error, command Command) error {
	if code := status.Code(err); code == codes.Unavailable || code == codes.NotFound {
		return explain(err)
	}
	said := strings.ReplaceAll(daemonset.OneLine(status.Convert(err).Message()), `\"`, `"`)
	said = strings.TrimSuffix(said, ": unknown")
	switch {
	case strings.Contains(said, "paused"):
		return fmt.Errorf("%w: the container is paused", ErrNotStarted)
	case strings.Contains(said, "cannot exec in a stopped"), strings.Contains(said, "cannot exec a container that has stopped"),
		strings.Contains(said, "process already finished"):
		return gone(errors.New(said))
	}
	if _, rest, found := strings.Cut(said, fmt.Sprintf("exec: %q: ", command.Args[0])); found {
		said = rest
		if missing(said) {
			said = "there is no such program in the container: " + said
			if command.Args[0] == daemonset.Shell {
				said = "the container's image has no shell; write the command without shell syntax, or use reload_signal: " + rest
			}
		}
	}
	return fmt.Errorf("%w: %s", ErrNotStarted, said)
}

func missing(said string) bool {
	return strings.Contains(said, "not found") || strings.Contains(said, "no such file")
}

package exec

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/podreload/podreload/daemonset"
)

const (
	// DefaultTimeout is a command's time limit if it has none of its own.
	DefaultTimeout = time.Minute

	// maxArg and maxArgs bound a command in bytes. The kernel takes no more in one argument, and a
	// few MiB in all (execve(2)): only behind the runtime, where it looks like an exit code.
	maxArg  = 128 << 10
	maxArgs = 1 << 20

	// maxSpec bounds an OCI spec in bytes; a large one has some tens of KiB.
	maxSpec = 8 << 20
)

// Command is what is to be run.
type Command struct {
	Args    []string      // see daemonset.SplitCommand
	Timeout time.Duration // from its start on; DefaultTimeout if it is 0
}

// String is the command as one would type it, for messages.
func (c Command) String() string {
	return daemonset.ClipText(daemonset.OneLine(strings.Join(c.Args, " ")), 120)
}

func (c Command) validate() error {
	size := 0
	for _, arg := range c.Args {
		size += len(arg) + 1
		if len(arg) >= maxArg {
			return fmt.Errorf("%w: an argument of it has %d bytes, less than %d can be", ErrNotStarted, len(arg), maxArg)
		}
		if strings.IndexByte(arg, 0) >= 0 {
			return fmt.Errorf("%w: it has a NUL in it", ErrNotStarted)
		}
	}
	switch {
	case len(c.Args) == 0 || c.Args[0] == "":
		return fmt.Errorf("%w: it is empty", ErrNotStarted)
	case size > maxArgs:
		return fmt.Errorf("%w: it has %d bytes, %d can be", ErrNotStarted, size, maxArgs)
	}
	return nil
}

// processSpec takes the process out of a container's OCI spec and has it run other
// arguments. All else is kept as it came: a member that this version does not know, a new
// kind of privilege for one, is the container's still.
func processSpec(spec []byte, args []string) ([]byte, error) {
	if len(spec) > maxSpec {
		return nil, fmt.Errorf("the container's OCI spec has %d bytes: more than %d", len(spec), maxSpec)
	}
	var of struct {
		Process map[string]json.RawMessage `json:"process"`
	}
	if err := json.Unmarshal(spec, &of); err != nil {
		return nil, fmt.Errorf("the container's OCI spec: %w", err)
	}
	if of.Process == nil {
		return nil, fmt.Errorf("the container's OCI spec has no process")
	}
	text, err := json.Marshal(args)
	if err != nil {
		return nil, err
	}
	of.Process["args"] = text
	for _, name := range []string{"terminal", "consoleSize", "commandLine"} {
		delete(of.Process, name)
	}
	return json.Marshal(of.Process)
}

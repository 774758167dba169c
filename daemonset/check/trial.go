package check

import (
	"context"
	"strings"
	"time"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/nsenter"
)

// Trial is one configuration to try for one container.
type Trial struct {
	Container daemonset.Container
	Profile   string           // whose turn it is to make a twin
	Files     []daemonset.File // the whole new set; what counts is what Write writes
	Commands  []Command        // run in order, each in a twin of its own; the first refusal ends it

	Image  string // digest of the container's image; "" remembers nothing
	Forget bool   // never remember a pass

	// Write puts the files into the container whose init it is given, and Verify
	// proves that they stand there as wanted. Their errors come back as they are. They
	// may be called for an equal trial that waits for this one, when the context of
	// this one's Check has ended.
	Write  func(ctx context.Context, init *nsenter.Process) error
	Verify func(ctx context.Context, init *nsenter.Process) error
}

// Command is one check command.
type Command struct {
	Args     []string
	Env      []string      // KEY=value, added to the container's environment: what its server was given beside
	Resource string        // the template resource that asked for it; "" for the preset's
	Timeout  time.Duration // for it alone; 0: what a check as a whole may take
}

// String is the command as one would type it, for messages.
func (c Command) String() string {
	return daemonset.ClipText(daemonset.OneLine(strings.Join(c.Args, " ")), 120)
}

// Verdict is a pass.
type Verdict struct {
	Output     string        // what the commands said, cleaned
	Took       time.Duration // of the run itself, also when it is remembered
	Remembered bool          // an equal trial passed before; nothing was run
}

func (t Trial) paths() []string {
	paths := make([]string, len(t.Files))
	for i, f := range t.Files {
		paths[i] = f.Path
	}
	return paths
}

func (t Trial) sensitive() bool {
	for _, f := range t.Files {
		if f.Sensitive {
			return true
		}
	}
	return false
}

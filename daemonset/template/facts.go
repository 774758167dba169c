package template

import (
	"strings"
	"time"

	"github.com/podreload/podreload/daemonset"
)

// Facts are what templates ask of the container that the files are for, never
// of the agent or its node.
type Facts struct {
	Env      map[string]string // for getenv
	Hostname string
	Now      func() time.Time // for datetime; nil is time.Now
}

// FactsOf takes the facts from what the runtime says of a container. Of two
// variables with one name the first counts, as in a process's own environment.
func FactsOf(c daemonset.Container) Facts {
	env := make(map[string]string, len(c.Env))
	for _, entry := range c.Env {
		name, value, _ := strings.Cut(entry, "=")
		if _, ok := env[name]; !ok {
			env[name] = value
		}
	}
	return Facts{Env: env, Hostname: c.Hostname}
}

package template

import (
	"fmt"
	"strings"
	"time"

	"github.com/podreload/podreload/daemonset"
)

// Facts are what templates ask of the pod and the container that the files are
// for, never of the agent.
type Facts struct {
	Pod       daemonset.Pod // its Name is empty when there is no pod
	Container string        // its name in the pod
	Node      string

	Env      map[string]string // for getenv; nil: there is no container
	Hostname string
	Inside   Inside           // nil: what asks the running container fails
	Now      func() time.Time // for datetime; nil is time.Now
}

// FactsOf takes the facts from what the runtime says of a container; Inside is the
// caller's to set. Of two variables with one name the
// first counts, as in a process's own environment.
func FactsOf(c daemonset.Container) Facts {
	var env map[string]string
	if c.ID != "" || len(c.Env) > 0 {
		env = make(map[string]string, len(c.Env))
	}
	for _, entry := range c.Env {
		name, value, _ := strings.Cut(entry, "=")
		if _, ok := env[name]; !ok {
			env[name] = value
		}
	}
	return Facts{Pod: c.Pod, Container: c.Name, Node: c.Pod.Node, Env: env, Hostname: c.Hostname}
}

// Asked is what a render depended on besides the snapshot. The zero value: the
// same files for every target, so that one render can serve all.
type Asked struct {
	Pod       bool // name, namespace, labels, annotations, container, node
	Container bool // environment, host name
	Inside    bool // the running container: files, names, addresses; the answers can change at any time
	Time      bool // the clock: no two renders are equal
}

// or is what either depended on.
func (a Asked) or(b Asked) Asked {
	return Asked{a.Pod || b.Pod, a.Container || b.Container, a.Inside || b.Inside, a.Time || b.Time}
}

// podFunctions are those that the TOML's templates have too.
var podFunctions = []string{"annotation", "container", "label", "namespace", "node", "pod"}

// podFact answers one of podFunctions. A label or an annotation that the pod
// lacks is "", like one that is empty; where there is no pod that is an error, as
// is everything else that is empty.
func (f *Facts) podFact(function, key string) (string, error) {
	switch function {
	case "label", "annotation":
		values := f.Pod.Labels
		if function == "annotation" {
			values = f.Pod.Annotations
		}
		value, ok := values[key]
		if !ok && f.Pod.Name == "" {
			return "", fmt.Errorf("it asks the pod for %s %q, and %w", function, key, ErrNoContainer)
		}
		return value, nil
	}
	value := map[string]string{
		"pod": f.Pod.Name, "namespace": f.Pod.Namespace, "container": f.Container, "node": f.Node,
	}[function]
	if value == "" {
		return "", fmt.Errorf("it asks for the name of the %s, and %w", function, ErrNoContainer)
	}
	return value, nil
}

func (e *execution) podName(function string) func() (string, error) {
	return func() (string, error) {
		e.asked.Pod = true
		return e.facts.podFact(function, "")
	}
}

func (e *execution) podValue(function string) func(string) (string, error) {
	return func(key string) (string, error) {
		e.asked.Pod = true
		return e.facts.podFact(function, key)
	}
}

func (e *execution) hostname() (string, error) {
	if e.asked.Container = true; e.facts.Hostname == "" {
		return "", fmt.Errorf("it asks for the host name, and %w", ErrNoContainer)
	}
	return e.facts.Hostname, nil
}

// getenv takes the default also for a variable that is set but empty.
func (e *execution) getenv(name string, defaults ...string) (string, error) {
	e.asked.Container = true
	v := e.facts.Env[name]
	switch {
	case v == "" && len(defaults) > 0:
		return defaults[0], nil
	case e.facts.Env == nil:
		return "", fmt.Errorf("it asks for the environment variable %s, and %w", name, ErrNoContainer)
	}
	return v, nil
}

func (e *execution) datetime() time.Time {
	if e.asked.Time = true; e.facts.Now != nil {
		return e.facts.Now()
	}
	return time.Now()
}

package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/podreload/podreload/daemonset"
)

// idUsage ends the help of every command that takes an ID.
const idUsage = "ID is a container's id, a unique prefix of it, or namespace/pod[/container]."

// needsID says it when a command that takes IDs gets none.
func needsID(c *cli.Command) error {
	return usagef("podreload %s needs %s; %s", c.Name, c.ArgsUsage, idUsage)
}

// pick finds the one target that ref means: an exact id, a unique prefix of
// one, or namespace/pod[/container].
func pick(targets []daemonset.Target, ref string) (daemonset.Target, error) {
	if ref == "" {
		return daemonset.Target{}, usagef("an empty ID")
	}
	var found []daemonset.Target
	for _, t := range targets {
		if t.Container.ID == ref {
			return t, nil
		}
		if means(t, ref) {
			found = append(found, t)
		}
	}
	switch len(found) {
	case 0:
		return daemonset.Target{}, notFoundf("no target %q on this node; podreload ps lists them", ref)
	case 1:
		return found[0], nil
	}
	var candidates []string
	for _, t := range found {
		candidates = append(candidates, daemonset.ShortID(t.Container.ID)+" ("+t.Container.String()+")")
	}
	return daemonset.Target{}, notFoundf("%q is ambiguous; it may be %s", ref, strings.Join(candidates, ", "))
}

func means(t daemonset.Target, ref string) bool {
	c := t.Container
	switch parts := strings.Split(ref, "/"); len(parts) {
	case 1:
		return c.ID != "" && strings.HasPrefix(c.ID, ref)
	case 2:
		return c.Pod.Namespace == parts[0] && c.Pod.Name == parts[1]
	case 3:
		return c.Pod.Namespace == parts[0] && c.Pod.Name == parts[1] && c.Name == parts[2]
	}
	return false
}

// pickAll resolves several, each once.
func pickAll(targets []daemonset.Target, refs []string) ([]daemonset.Target, error) {
	var out []daemonset.Target
	for _, ref := range refs {
		t, err := pick(targets, ref)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(out, func(o daemonset.Target) bool { return o.Container.ID != "" && o.Container.ID == t.Container.ID }) {
			out = append(out, t)
		}
	}
	return out, nil
}

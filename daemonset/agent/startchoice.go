package agent

import (
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/template"
)

// ChooseStarting decides which profile a container gets that does not run yet, by what is
// known by then: other containers of its pod may be yet to come, so that one which nobody
// named has to show by its command that the profile's server is in it. What [Choose] says
// once all run is the same or that it cannot be decided.
//
// No target: no profile is for it. One with a State has a Reason why nothing can be placed.
func ChooseStarting(c daemonset.Container, running []daemonset.Container, profiles []*template.Profile) (t daemonset.Target, ok bool) {
	var sure, unsure []*template.Profile
	for _, may := range candidates(c, profiles) {
		shown, beside := shows(c.Args, may.profile), besides(c, running, may.profile)
		switch {
		case slices.Contains(sure, may.profile):
		case may.container == c.Name, may.container == "" && shown && !beside:
			sure = append(sure, may.profile)
		case may.container == "" && shown == beside: // both show it, or none does
			unsure = append(unsure, may.profile)
		}
	}
	unsure = slices.DeleteFunc(unsure, func(p *template.Profile) bool { return slices.Contains(sure, p) })
	all := slices.Concat(sure, unsure)
	undecided := func(state daemonset.State, reason string) (daemonset.Target, bool) {
		return daemonset.Target{Container: c, Profile: strings.ReplaceAll(names(all), ", ", ","), State: state, Reason: reason}, true
	}
	switch {
	case len(all) == 0:
		return t, false
	case len(all) > 1:
		return undecided(daemonset.Ambiguous, "profiles "+names(all)+" may choose this container; only one may: narrow a select or take a label away")
	case len(unsure) > 0:
		return undecided(daemonset.Waiting, "its command does not show that it is the container of the profile, or another's does, too: "+
			"name it with the pod label "+LabelContainer+" or the profile's container")
	case sure[0].Err != nil:
		return undecided(daemonset.Invalid, sure[0].Err.Error())
	}
	return daemonset.Target{Container: c, Profile: sure[0].Name}, true
}

// candidate is a profile that is for the pod, and the container that is named for it.
type candidate struct {
	profile   *template.Profile
	container string
}

func candidates(c daemonset.Container, profiles []*template.Profile) (all []candidate) {
	add := func(p *template.Profile, container string) {
		if allowed(p, c.Pod.Namespace) {
			if container == "" {
				container = p.Container
			}
			all = append(all, candidate{p, container})
		}
	}
	named := func(name, container string) {
		if i := slices.IndexFunc(profiles, func(p *template.Profile) bool { return p.Name == name }); i >= 0 {
			add(profiles[i], container)
		}
	}
	if name, ok := c.Pod.Labels[LabelProfile]; ok {
		named(name, c.Pod.Labels[LabelContainer])
	}
	if name, ok := c.Pod.Labels[c.Name+suffixProfile]; ok {
		named(name, c.Name)
	}
	for _, p := range profiles {
		if p.Selector != nil && p.Selector.Matches(labels.Set(c.Pod.Labels)) {
			add(p, c.Pod.Labels[LabelContainer])
		}
	}
	return all
}

// besides answers whether another container of the pod that runs shows the profile's server.
func besides(c daemonset.Container, running []daemonset.Container, p *template.Profile) bool {
	return slices.ContainsFunc(running, func(other daemonset.Container) bool {
		return other.Pod.SandboxID == c.Pod.SandboxID && other.ID != c.ID && other.Name != c.Name && shows(other.Args, p)
	})
}

// shows answers whether a command runs the profile's server: by its name, or as a program of
// a folder for such, as it stands behind an entrypoint script or an init. What follows an
// option may be that option's, and the name of a folder or a log.
func shows(args []string, p *template.Profile) bool {
	preset, known, err := presetOf(p)
	if err != nil || !known {
		return false
	}
	for i, arg := range args {
		dir, name := path.Split(arg)
		program := dir == "" || slices.Contains([]string{"bin", "sbin"}, path.Base(dir))
		option := i > 0 && strings.HasPrefix(args[i-1], "-") && args[i-1] != "--"
		if program && !option && slices.Contains(preset.Exe, name) {
			return true
		}
	}
	return false
}

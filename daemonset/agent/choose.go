package agent

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/template"
)

// The labels that a pod opts in with. The runtime keeps them as they were when
// the pod was created.
const (
	LabelProfile   = "podreload.io/profile"
	LabelContainer = "podreload.io/container"
	LabelSignal    = "podreload.io/signal"

	suffixProfile = ".podreload.io/profile" // <container>.podreload.io/profile
)

// Runs answers whether a server of the profile's process runs in the container, or has run
// there before. [Choose] asks it only where names alone do not decide.
type Runs func(c daemonset.Container, p *template.Profile) bool

// Choose decides which container gets which profile. It is a pure function of
// its arguments, so the agent and the manual commands always agree.
//
// A pod's own label comes first; then every profile whose select matches the
// pod's labels. What cannot be decided is a target too, with a State and a
// Reason, so that a person sees it in `ps` rather than nothing. The result is
// sorted as containers is.
func Choose(containers []daemonset.Container, profiles []*template.Profile, runs Runs) []daemonset.Target {
	var targets []daemonset.Target
	for _, pod := range byPod(containers) {
		targets = append(targets, choosePod(pod, profiles, runs)...)
	}
	return targets
}

// byPod groups the containers of one sandbox, in the order of first sight.
func byPod(containers []daemonset.Container) [][]daemonset.Container {
	var pods [][]daemonset.Container
	index := map[string]int{}
	for _, c := range containers {
		i, ok := index[c.Pod.SandboxID]
		if !ok {
			i = len(pods)
			index[c.Pod.SandboxID] = i
			pods = append(pods, nil)
		}
		pods[i] = append(pods[i], c)
	}
	return pods
}

func choosePod(pod []daemonset.Container, profiles []*template.Profile, runs Runs) []daemonset.Target {
	meta := pod[0].Pod
	var targets []daemonset.Target
	add := func(t daemonset.Target) {
		// The same profile by label and by select is one choice, not two.
		if !slices.ContainsFunc(targets, func(have daemonset.Target) bool {
			return have.Container.ID == t.Container.ID && have.Profile == t.Profile
		}) {
			targets = append(targets, t)
		}
	}

	if name, ok := meta.Labels[LabelProfile]; ok {
		add(chooseByLabel(pod, profiles, name, meta.Labels[LabelContainer], runs))
	}
	for _, key := range sortedKeys(meta.Labels) {
		if container, ok := strings.CutSuffix(key, suffixProfile); ok && container != "" {
			add(chooseByLabel(pod, profiles, meta.Labels[key], container, runs))
		}
	}
	for _, p := range profiles {
		if p.Selector == nil || !p.Selector.Matches(labels.Set(meta.Labels)) || !allowed(p, meta.Namespace) {
			continue
		}
		add(chooseContainer(pod, p, meta.Labels[LabelContainer], runs))
	}
	return bound(onePerContainer(targets), profiles)
}

// bound refuses profiles that have errors, which may be why no container was found for
// them, and those that take something from the pod which this pod does not have.
func bound(targets []daemonset.Target, profiles []*template.Profile) []daemonset.Target {
	for i, t := range targets {
		n := slices.IndexFunc(profiles, func(p *template.Profile) bool { return p.Name == t.Profile })
		if n < 0 {
			continue // no such profile, or two that choose one container
		}
		err := profiles[n].Err
		if err == nil && t.State == "" {
			_, err = profiles[n].Bind(template.FactsOf(t.Container))
		}
		if err != nil {
			targets[i].State, targets[i].Reason = daemonset.Invalid, err.Error()
		}
	}
	return targets
}

// chooseByLabel resolves a profile that the pod itself named.
func chooseByLabel(pod []daemonset.Container, profiles []*template.Profile, name, container string, runs Runs) daemonset.Target {
	i := slices.IndexFunc(profiles, func(p *template.Profile) bool { return p.Name == name })
	switch {
	case i < 0:
		return undecided(pod, name, daemonset.Invalid,
			"no profile %q in conf.d; known: %s; mend the pod's label or add the profile", name, names(profiles))
	case !allowed(profiles[i], pod[0].Pod.Namespace):
		return undecided(pod, name, daemonset.Invalid,
			"profile %q is not for namespace %q; its namespaces are %s", name, pod[0].Pod.Namespace,
			strings.Join(profiles[i].Namespaces, ", "))
	}
	return chooseContainer(pod, profiles[i], container, runs)
}

// chooseContainer picks the container: by label, else by the profile, else the
// only one that runs the profile's process, or else whose command shows it. That no other runs makes none
// the container of a server: others may be yet to come, or wait for their restart. Of a profile without a process
// nobody can tell.
func chooseContainer(pod []daemonset.Container, p *template.Profile, wanted string, runs Runs) daemonset.Target {
	if wanted == "" {
		wanted = p.Container
	}
	if wanted != "" {
		for _, c := range pod {
			if c.Name == wanted {
				return daemonset.Target{Container: c, Profile: p.Name}
			}
		}
		return undecided(pod, p.Name, daemonset.Waiting,
			"container %q does not run in this pod; running: %s", wanted, containerNames(pod))
	}
	if p.Process == "" && p.Matcher == nil {
		if len(pod) == 1 {
			return daemonset.Target{Container: pod[0], Profile: p.Name}
		}
		return undecided(pod, p.Name, daemonset.Ambiguous,
			"which of %s? name it with the pod label %s or the profile's container", containerNames(pod), LabelContainer)
	}
	var running []daemonset.Container
	for _, c := range pod {
		if runs(c, p) {
			running = append(running, c)
		}
	}
	if len(running) == 0 {
		running = slices.DeleteFunc(slices.Clone(pod), func(c daemonset.Container) bool { return !shows(c.Args, p) })
	}
	switch len(running) {
	case 0:
		who := "container " + pod[0].Name + " does not run"
		if len(pod) > 1 {
			who = "none of " + containerNames(pod) + " runs"
		}
		return undecided(pod, p.Name, daemonset.Waiting, "%s %s yet; a container that is to have its files before "+
			"is named with the pod label %s or the profile's container", who, processName(p), LabelContainer)
	case 1:
		return daemonset.Target{Container: running[0], Profile: p.Name}
	}
	return undecided(pod, p.Name, daemonset.Ambiguous,
		"%s all run %s; name one with the pod label %s or the profile's container", containerNames(running), processName(p), LabelContainer)
}

func processName(p *template.Profile) string {
	if p.Matcher != nil {
		return strings.Join(p.Matcher.Exe, " or ")
	}
	return p.Process
}

// onePerContainer turns containers that several profiles chose into one
// Ambiguous target each: two owners of one server would undo each other.
func onePerContainer(targets []daemonset.Target) []daemonset.Target {
	var out []daemonset.Target
	for _, t := range targets {
		i := slices.IndexFunc(out, func(o daemonset.Target) bool { return o.Container.ID != "" && o.Container.ID == t.Container.ID })
		if i < 0 {
			out = append(out, t)
			continue
		}
		out[i].Profile += "," + t.Profile
		out[i].State = daemonset.Ambiguous
		out[i].Reason = fmt.Sprintf("profiles %s choose this container; only one may: narrow a select or take a label away", out[i].Profile)
	}
	return out
}

// undecided is a target without a container: its Container holds the pod only.
func undecided(pod []daemonset.Container, profile string, state daemonset.State, format string, args ...any) daemonset.Target {
	return daemonset.Target{
		Container: daemonset.Container{Pod: pod[0].Pod},
		Profile:   profile,
		State:     state,
		Reason:    fmt.Sprintf(format, args...),
	}
}

func allowed(p *template.Profile, namespace string) bool {
	return len(p.Namespaces) == 0 || slices.ContainsFunc(p.Namespaces, func(pattern string) bool {
		ok, err := path.Match(pattern, namespace)
		return err == nil && ok
	})
}

func names(profiles []*template.Profile) string {
	if len(profiles) == 0 {
		return "none"
	}
	var s []string
	for _, p := range profiles {
		s = append(s, p.Name)
	}
	return strings.Join(s, ", ")
}

func containerNames(pod []daemonset.Container) string {
	var s []string
	for _, c := range pod {
		s = append(s, c.Name)
	}
	return strings.Join(s, ", ")
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

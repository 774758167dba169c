package agent

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/template"
)

// pod makes the running containers of one pod.
func pod(namespace string, l map[string]string, containers ...string) []daemonset.Container {
	var out []daemonset.Container
	for _, name := range containers {
		out = append(out, daemonset.Container{
			ID: namespace + "-" + name, Name: name,
			Pod: daemonset.Pod{SandboxID: "sandbox-" + namespace, Name: "p", Namespace: namespace, Labels: l},
		})
	}
	return out
}

// showing has the containers started with nginx.
func showing(containers []daemonset.Container) []daemonset.Container {
	for i := range containers {
		containers[i].Args = []string{"/docker-entrypoint.sh", "nginx", "-g", "daemon off;"}
	}
	return containers
}

func selecting(s string) labels.Selector {
	sel, err := labels.Parse(s)
	if err != nil {
		panic(err)
	}
	return sel
}

// choice is what a test compares of a target.
type choice struct {
	Container, Profile string
	State              daemonset.State
}

func TestChoose(t *testing.T) {
	web := &template.Profile{Name: "web", Process: "nginx"}
	plain := &template.Profile{Name: "plain"}
	named := &template.Profile{Name: "named", Container: "b"}
	selects := &template.Profile{Name: "selects", Selector: selecting("app=web,tier!=canary")}
	prod := &template.Profile{Name: "prod", Namespaces: []string{"prod-*"}, Selector: selecting("app=web")}
	both := &template.Profile{Name: "both", Selector: selecting("app in (web)")}

	tests := map[string]struct {
		containers []daemonset.Container
		profiles   []*template.Profile
		runs       []string // ids in which the process runs
		want       []choice
	}{
		"no label, no select": {pod("ns", nil, "a"), []*template.Profile{web}, nil, nil},
		"only container":      {pod("ns", map[string]string{LabelProfile: "plain"}, "a"), []*template.Profile{plain}, nil, []choice{{"a", "plain", ""}}},
		"unknown profile":     {pod("ns", map[string]string{LabelProfile: "nope"}, "a"), []*template.Profile{plain}, nil, []choice{{"", "nope", daemonset.Invalid}}},
		"empty label":         {pod("ns", map[string]string{LabelProfile: ""}, "a"), []*template.Profile{plain}, nil, []choice{{"", "", daemonset.Invalid}}},
		"pod names container": {
			pod("ns", map[string]string{LabelProfile: "named", LabelContainer: "a"}, "a", "b"), []*template.Profile{named}, nil,
			[]choice{{"a", "named", ""}},
		},
		"profile names container": {
			pod("ns", map[string]string{LabelProfile: "named"}, "a", "b"), []*template.Profile{named}, nil, []choice{{"b", "named", ""}},
		},
		"container is not there": {
			pod("ns", map[string]string{LabelProfile: "web", LabelContainer: "x"}, "a"), []*template.Profile{web}, nil,
			[]choice{{"", "web", daemonset.Waiting}},
		},
		"the only one that runs it": {
			pod("ns", map[string]string{LabelProfile: "web"}, "a", "b"), []*template.Profile{web}, []string{"ns-b"}, []choice{{"b", "web", ""}},
		},
		"none runs it yet": {
			pod("ns", map[string]string{LabelProfile: "web"}, "a", "b"), []*template.Profile{web}, nil, []choice{{"", "web", daemonset.Waiting}},
		},
		"both run it": {
			pod("ns", map[string]string{LabelProfile: "web"}, "a", "b"), []*template.Profile{web}, []string{"ns-a", "ns-b"},
			[]choice{{"", "web", daemonset.Ambiguous}},
		},
		"alone and does not run it": {
			pod("ns", map[string]string{LabelProfile: "web"}, "a"), []*template.Profile{web}, nil, []choice{{"", "web", daemonset.Waiting}},
		},
		"alone and runs it": {
			pod("ns", map[string]string{LabelProfile: "web"}, "a"), []*template.Profile{web}, []string{"ns-a"}, []choice{{"a", "web", ""}},
		},
		"alone and shows it": {
			showing(pod("ns", map[string]string{LabelProfile: "web"}, "a")), []*template.Profile{web}, nil, []choice{{"a", "web", ""}},
		},
		"shows it beside one that does not": {
			append(showing(pod("ns", map[string]string{LabelProfile: "web"}, "a")), pod("ns", map[string]string{LabelProfile: "web"}, "b")...),
			[]*template.Profile{web}, nil, []choice{{"a", "web", ""}},
		},
		"several and nothing to tell by": {
			pod("ns", map[string]string{LabelProfile: "plain"}, "a", "b"), []*template.Profile{plain}, nil, []choice{{"", "plain", daemonset.Ambiguous}},
		},
		"several profiles by container": {
			pod("ns", map[string]string{"a" + suffixProfile: "web", "b" + suffixProfile: "plain"}, "a", "b"), []*template.Profile{plain, web}, nil,
			[]choice{{"a", "web", ""}, {"b", "plain", ""}},
		},
		"select": {pod("ns", map[string]string{"app": "web"}, "a"), []*template.Profile{selects}, nil, []choice{{"a", "selects", ""}}},
		"select does not match": {
			pod("ns", map[string]string{"app": "web", "tier": "canary"}, "a"), []*template.Profile{selects}, nil, nil,
		},
		"label and select agree": {
			pod("ns", map[string]string{"app": "web", LabelProfile: "selects"}, "a"), []*template.Profile{selects}, nil, []choice{{"a", "selects", ""}},
		},
		"two profiles for one container": {
			pod("ns", map[string]string{"app": "web"}, "a"), []*template.Profile{both, selects}, nil,
			[]choice{{"a", "both,selects", daemonset.Ambiguous}},
		},
		"select in another namespace": {pod("dev", map[string]string{"app": "web"}, "a"), []*template.Profile{prod}, nil, nil},
		"select in its namespace":     {pod("prod-1", map[string]string{"app": "web"}, "a"), []*template.Profile{prod}, nil, []choice{{"a", "prod", ""}}},
		"label in another namespace": {
			pod("dev", map[string]string{LabelProfile: "prod"}, "a"), []*template.Profile{prod}, nil, []choice{{"", "prod", daemonset.Invalid}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			runs := func(c daemonset.Container, _ *template.Profile) bool { return slices.Contains(tt.runs, c.ID) }
			var got []choice
			for _, target := range Choose(tt.containers, tt.profiles, runs) {
				got = append(got, choice{target.Container.Name, target.Profile, target.State})
				if (target.State == "") != (target.Reason == "") {
					t.Errorf("state %q with reason %q: one without the other", target.State, target.Reason)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("choices (-want +got):\n%s", diff)
			}
		})
	}
}

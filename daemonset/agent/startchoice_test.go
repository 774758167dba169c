package agent

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/template"
)

func TestChooseStarting(t *testing.T) {
	web := &template.Profile{Name: "web", Process: "nginx"}
	named := &template.Profile{Name: "named", Process: "nginx", Container: "b"}
	selects := &template.Profile{Name: "selects", Process: "nginx", Selector: selecting("app=web")}
	prod := &template.Profile{Name: "prod", Process: "nginx", Namespaces: []string{"prod-*"}, Selector: selecting("app=web")}
	matched := &template.Profile{Name: "matched", Matcher: &daemonset.Matcher{Exe: []string{"registry"}, Signal: "HUP", Success: "none"}}
	broken := &template.Profile{Name: "broken", Container: "a", Err: errors.New("a test says so")}
	all := []*template.Profile{web, named, selects, prod, matched, broken}
	label := func(kv ...string) map[string]string {
		l := map[string]string{}
		for i := 0; i < len(kv); i += 2 {
			l[kv[i]] = kv[i+1]
		}
		return l
	}
	byLabel := label(LabelProfile, "web")

	tests := map[string]struct {
		labels map[string]string
		args   []string
		beside []string // the command of another container, which runs
		want   choice   // none if empty
	}{
		"none":                       {nil, []string{"nginx"}, nil, choice{}},
		"the command is it":          {byLabel, []string{"nginx", "-g", "daemon off;"}, nil, choice{"a", "web", ""}},
		"with its path":              {byLabel, []string{"/usr/sbin/nginx"}, nil, choice{"a", "web", ""}},
		"behind an entrypoint":       {byLabel, []string{"/docker-entrypoint.sh", "nginx", "-g", "daemon off;"}, nil, choice{"a", "web", ""}},
		"behind an init":             {byLabel, []string{"tini", "-v", "--", "nginx"}, nil, choice{"a", "web", ""}},
		"in a shell":                 {byLabel, []string{"sh", "-c", "exec nginx"}, nil, choice{"a", "web", daemonset.Waiting}},
		"a folder of that name":      {byLabel, []string{"reloader", "/etc/nginx"}, nil, choice{"a", "web", daemonset.Waiting}},
		"the value of an option":     {byLabel, []string{"logger", "-t", "nginx"}, nil, choice{"a", "web", daemonset.Waiting}},
		"no command":                 {byLabel, nil, nil, choice{"a", "web", daemonset.Waiting}},
		"beside another server":      {byLabel, []string{"nginx"}, []string{"nginx"}, choice{"a", "web", daemonset.Waiting}},
		"beside something else":      {byLabel, []string{"nginx"}, []string{"sleep"}, choice{"a", "web", ""}},
		"something else beside it":   {byLabel, []string{"sleep"}, []string{"nginx"}, choice{}},
		"the pod names it":           {label(LabelProfile, "web", LabelContainer, "a"), []string{"sh"}, nil, choice{"a", "web", ""}},
		"the pod names another":      {label(LabelProfile, "web", LabelContainer, "b"), []string{"nginx"}, nil, choice{}},
		"the profile names another":  {label(LabelProfile, "named"), []string{"nginx"}, nil, choice{}},
		"the pod overrules it":       {label(LabelProfile, "named", LabelContainer, "a"), []string{"sh"}, nil, choice{"a", "named", ""}},
		"a label for the container":  {label("a"+suffixProfile, "named"), []string{"sh"}, nil, choice{"a", "named", ""}},
		"a label for another":        {label("b"+suffixProfile, "web"), []string{"nginx"}, nil, choice{}},
		"selected":                   {label("app", "web"), []string{"nginx"}, nil, choice{"a", "selects", ""}},
		"selected and labelled":      {label("app", "web", LabelProfile, "selects"), []string{"nginx"}, nil, choice{"a", "selects", ""}},
		"two choose it":              {label("app", "web", LabelProfile, "web"), []string{"nginx"}, nil, choice{"a", "web,selects", daemonset.Ambiguous}},
		"not for this namespace":     {label(LabelProfile, "prod"), []string{"nginx"}, nil, choice{}},
		"no such profile":            {label(LabelProfile, "nope"), []string{"nginx"}, nil, choice{}},
		"a matcher":                  {label(LabelProfile, "matched"), []string{"/bin/registry", "serve"}, nil, choice{"a", "matched", ""}},
		"a profile that is in error": {label(LabelProfile, "broken"), []string{"nginx"}, nil, choice{"a", "broken", daemonset.Invalid}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			both := pod("ns", tt.labels, "a", "b")
			c, other := both[0], both[1]
			c.Args, other.Args = tt.args, tt.beside
			target, ok := ChooseStarting(c, []daemonset.Container{other}, all)
			var got choice
			if ok {
				got = choice{target.Container.Name, target.Profile, target.State}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if target.State != "" && target.Reason == "" {
				t.Error("no reason")
			}
		})
	}
}

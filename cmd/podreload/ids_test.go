package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podreload/podreload/daemonset"
)

func targetOf(id, pod, container string) daemonset.Target {
	return daemonset.Target{Container: daemonset.Container{
		ID: id, Name: container, Pod: daemonset.Pod{Name: pod, Namespace: "prod"},
	}}
}

func TestPick(t *testing.T) {
	targets := []daemonset.Target{
		targetOf("abc1", "web-0", "nginx"),
		targetOf("abc12", "web-1", "nginx"),
		targetOf("def", "web-1", "side"),
		targetOf("", "undecided", ""),
	}
	for ref, want := range map[string]struct {
		id, message string
		code        int
	}{
		"abc1":              {id: "abc1"}, // exact, though it is a prefix of another
		"abc12":             {id: "abc12"},
		"d":                 {id: "def"},
		"prod/web-0":        {id: "abc1"},
		"prod/web-1/side":   {id: "def"},
		"prod/undecided":    {id: ""},
		"":                  {code: exitUsage, message: "an empty ID"},
		"abc":               {code: exitNotFound, message: `"abc" is ambiguous; it may be abc1 (prod/web-0/nginx), abc12 (prod/web-1/nginx)`},
		"prod/web-1":        {code: exitNotFound, message: `"prod/web-1" is ambiguous; it may be abc12 (prod/web-1/nginx), def (prod/web-1/side)`},
		"x":                 {code: exitNotFound, message: `no target "x" on this node; podreload ps lists them`},
		"web-0":             {code: exitNotFound, message: `no target "web-0" on this node; podreload ps lists them`},
		"prod/web-0/":       {code: exitNotFound, message: `no target "prod/web-0/" on this node; podreload ps lists them`},
		"prod/web-0/side":   {code: exitNotFound, message: `no target "prod/web-0/side" on this node; podreload ps lists them`},
		"prod/web-1/side/x": {code: exitNotFound, message: `no target "prod/web-1/side/x" on this node; podreload ps lists them`},
	} {
		t.Run(ref, func(t *testing.T) {
			got, err := pick(targets, ref)
			if code := codeOf(err); code != want.code {
				t.Errorf("exit code %d, want %d", code, want.code)
			}
			if err != nil {
				if diff := cmp.Diff(want.message, err.Error()); diff != "" {
					t.Errorf("message (-want +got):\n%s", diff)
				}
				return
			}
			if got.Container.ID != want.id {
				t.Errorf("picked %q, want %q", got.Container.ID, want.id)
			}
		})
	}
}

func TestPickAllTakesEachOnce(t *testing.T) {
	targets := []daemonset.Target{targetOf("abc", "web-0", "nginx"), targetOf("def", "web-1", "nginx")}
	got, err := pickAll(targets, []string{"def", "prod/web-0", "a", "prod/web-1/nginx"})
	if err != nil {
		t.Fatal(err)
	}
	want := []daemonset.Target{targets[1], targets[0]}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzPick(f *testing.F) {
	for _, ref := range []string{"", "a", "abc", "prod/web-0", "prod/web-0/nginx", "//", "prod//"} {
		f.Add(ref)
	}
	targets := []daemonset.Target{targetOf("abc", "web-0", "nginx"), targetOf("abd", "web-1", "nginx"), targetOf("", "undecided", "")}
	f.Fuzz(func(t *testing.T, ref string) {
		got, err := pick(targets, ref)
		switch code := codeOf(err); {
		case code == exitOK && got.Container.Pod.Name == "":
			t.Errorf("pick(%q) found nothing and said nothing", ref)
		case code != exitOK && code != exitUsage && code != exitNotFound:
			t.Errorf("pick(%q): exit code %d", ref, code)
		}
	})
}

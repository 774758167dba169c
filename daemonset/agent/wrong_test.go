package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/template"
	"github.com/podreload/podreload/testenv"
)

// TestWrongIsTold: what is wrong in conf.d is told once, also where no pod shows it, and so is that it is
// mended. Of a profile with a sensitive file nothing is told but the place.
func TestWrongIsTold(t *testing.T) {
	const good = "[template]\nsrc = 'a'\ndest = '/a'\nkeys = []\n"
	const secret = "[profile]\nnamespaces = ['x']\n[template]\nsrc = 'a'\ndest = '/b'\nkeys = []\nsensitive = true\n"
	var events told
	a := &Agent{Observer: &events}
	for _, step := range []struct {
		name, text string // of conf.d/NAME.toml
		state      daemonset.State
		want       string // empty: nothing is told
		never      string
	}{
		{name: "web", text: good},
		{name: "web", text: "oops = \"\n" + good, state: daemonset.Invalid, want: "conf.d: profile web: conf.d/web.toml:1:"},
		{name: "web", text: "oops = \"\n" + good},
		{name: "web", text: good, state: daemonset.Live, want: "nothing is wrong any more"},
		{name: "vault", text: secret},
		{name: "vault", text: secret + "hunter2 = 1\n", state: daemonset.Invalid, want: "profile vault: conf.d/vault.toml:8:1 is wrong; podreload profiles says how", never: "hunter2"},
		{name: "vault", text: secret, state: daemonset.Live, want: "nothing is wrong any more"},
		{name: "", state: daemonset.Invalid, want: "conf.d: conf.d: "},
	} {
		dir := t.TempDir()
		var err error
		if step.name != "" {
			err = testenv.WriteTree(dir, map[string]string{"templates/a": "x", "conf.d/" + step.name + ".toml": step.text})
		} else {
			err = os.Mkdir(filepath.Join(dir, "templates"), 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
		if a.Config, err = template.Load(dir); err != nil {
			t.Fatal(err)
		}
		events = nil
		a.show(true, nil)
		a.show(true, nil)
		var got []string
		for _, e := range events {
			got = append(got, string(e.Kind)+" "+string(e.State)+" "+e.Reason)
		}
		text := strings.Join(got, "\n")
		switch {
		case step.want == "" && len(got) == 0:
		case step.want == "" || len(got) != 1 || !strings.HasPrefix(text, "Config "+string(step.state)+" ") || !strings.Contains(text, step.want):
			t.Errorf("%s with %q: told %q, want %s %q", step.name, step.text, got, step.state, step.want)
		}
		if step.never != "" && strings.Contains(text, step.never) {
			t.Errorf("it is told: %q", got)
		}
	}
	if v := a.View(); len(v.Problems) != 1 || !strings.HasPrefix(v.Problems[0], "conf.d: ") {
		t.Errorf("without conf.d the view has %q", v.Problems)
	}
}

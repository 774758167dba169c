package agent_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/podreload/podreload/daemonset"
	commands "github.com/podreload/podreload/daemonset/exec"
	"github.com/podreload/podreload/testenv"
)

// TestReloadCommand: confd's reload_cmd runs inside as the container would run it, and with
// a preset the reload that it causes is proved.
func TestReloadCommand(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.resource(r.name, "dest = \""+conf+"\"\nreload_cmd = \"nginx -s reload && echo told\"", `process = "nginx"`)
	p := r.pod(testenv.PodConfig{})
	c := p.Container("nginx")
	r.start()
	r.live(c, r.put("one"))
	before := nginxOf(t, c)
	s := r.live(c, r.put("two"))
	serves(t, p, "two")
	if s.Reloads != 2 || !strings.Contains(s.Output, "told") {
		t.Errorf("%d reloads, said %q; want 2, told", s.Reloads, s.Output)
	}
	if now := nginxOf(t, c); now.master != before.master {
		t.Error("another master")
	}
}

// TestReloadCommandOfWhatChanged: without a preset what it comes to is Applied; equal
// commands run once, and those of what did not change not at all.
func TestReloadCommandOfWhatChanged(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	files := map[string]string{}
	for name, command := range map[string]string{"a": "both", "b": "both", "c": "other"} {
		files["conf.d/"+r.name+"/"+name+".toml"] = fmt.Sprintf(
			"[template]\nsrc = \"%s-%s.tmpl\"\ndest = \"/tmp/%s\"\nkeys = [\"/%s\"]\nreload_cmd = \"echo %s >>/tmp/log\"\n", r.name, name, name, r.name, command)
		files["templates/"+r.name+"-"+name+".tmpl"] = `{{getv "/` + r.name + `/` + name + `"}}`
	}
	r.without("")
	files["conf.d/"+r.name+"/profile.toml"] = "[profile]\nname = \"" + r.name + "\"\ncheck = \"off\"\nresources = [\"" + r.name + "/a\", \"" + r.name + "/b\", \"" + r.name + "/c\"]\n"
	r.write(files)
	c := r.pod(testenv.PodConfig{}).Container("nginx")
	for _, name := range []string{"a", "b", "c"} {
		r.putKey(r.key(name), "1")
	}
	r.start()
	r.applied(c, r.putKey(r.key("c"), "2"))
	exec(t, c, "rm /tmp/log")
	r.applied(c, r.putKey(r.key("b"), "2"))
	if got := exec(t, c, "cat /tmp/log"); got != "both" {
		t.Errorf("ran %q, want both", got)
	}
}

// TestFailedReloadIsRetried: a reload command that failed is run again, though no key and no
// file changes any more.
func TestFailedReloadIsRetried(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.resource(r.name, "dest = \"/tmp/file\"\nreload_cmd = \"echo not yet; test -e /tmp/ready && echo ran >>/tmp/log\"")
	c := r.pod(testenv.PodConfig{}).Container("nginx")
	r.start()
	revision := r.put("one")
	s := r.in(c, daemonset.Failed, "exit code 1", "not yet")
	if !s.Owed {
		t.Errorf("the reload is not owed: %+v", s)
	}
	exec(t, c, "touch /tmp/ready")
	r.applied(c, revision)
	if got := exec(t, c, "cat /tmp/log"); got != "ran" {
		t.Errorf("log: %q", got)
	}
}

// TestReloadCommandThatHangs is killed at its limit, with what it started.
func TestReloadCommandThatHangs(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.resource(r.name, "dest = \"/tmp/file\"\nreload_cmd = \"sleep 1000000\"\nreload_cmd_timeout = \"1s\"")
	c := r.pod(testenv.PodConfig{}).Container("nginx")
	r.start()
	r.put("one")
	r.in(c, daemonset.Failed, "1s")
	r.stop()
	if got := exec(t, c, "ps -o args | grep -c '[s]leep 1000000' || true"); got != "0" {
		t.Errorf("%s processes are left", got)
	}
}

// TestReloadCommandFails: with a preset a command that fails is a reload that was not taken:
// the previous files come back.
func TestReloadCommandFails(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.resource(r.name, "dest = \""+conf+"\"\nreload_cmd = \"nginx -t && nginx -s reload\"", `process = "nginx"`)
	p := r.pod(testenv.PodConfig{})
	c := p.Container("nginx")
	r.start()
	r.live(c, r.put("one"))
	r.put(bad)
	r.in(c, daemonset.RolledBack, "exit code 1", "no_such_directive")
	serves(t, p, "one")
	if got := exec(t, c, "cat "+conf); !strings.Contains(got, "one") {
		t.Errorf("the file is %q", got)
	}
	r.live(c, r.put("two"))
	serves(t, p, "two")
}

// TestSensitiveReloadCommand: what a command says of a sensitive file is shown nowhere.
func TestSensitiveReloadCommand(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.resource(r.name, "dest = \"/tmp/file\"\nsensitive = true\nreload_cmd = \"grep -o return.200.[^;]* /tmp/file; test -e /tmp/ready\"", `namespaces = ["default"]`)
	c := r.pod(testenv.PodConfig{}).Container("nginx")
	r.start()
	r.put("secret")
	r.in(c, daemonset.Failed, "exit code 1", "not shown")
	exec(t, c, "touch /tmp/ready")
	s := r.await(c, "it is applied", func(s daemonset.Status) bool { return s.State == daemonset.Applied })
	if strings.Contains(s.Output, "secret") || s.Output == "" || strings.Contains(r.said.String(), "secret") {
		t.Errorf("the output is %q, the log %s", s.Output, r.said)
	}
}

// failingRunner is a Runner whose commands fail.
type failingRunner struct{ err atomic.Pointer[error] }

func (f *failingRunner) Run(context.Context, daemonset.Container, commands.Command) (commands.Result, error) {
	return commands.Result{}, fmt.Errorf("run it: %w", *f.err.Load())
}

// TestSensitiveReloadCommandCutShort: nor where the command did not come to its end.
func TestSensitiveReloadCommandCutShort(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	runner := &failingRunner{}
	r.applier.Exec = runner
	r.resource(r.name, "dest = \"/tmp/file\"\nsensitive = true\nreload_cmd = \"true\"", `namespaces = ["default"]`)
	c := r.pod(testenv.PodConfig{}).Container("nginx")
	cut := func(err error) error { return &commands.CutShortError{Err: err, Output: "hunter2"} }
	for i, test := range []struct {
		err   error
		state daemonset.State
		words string
	}{
		{fmt.Errorf("%w: %w", commands.ErrDeadline, cut(context.DeadlineExceeded)), daemonset.Failed, commands.ErrDeadline.Error()},
		{fmt.Errorf("%w: %w", commands.ErrGone, &commands.ExitError{Code: 137, Output: "hunter2"}), daemonset.Waiting, commands.ErrGone.Error()},
		{cut(commands.ErrAway), daemonset.Failed, commands.ErrAway.Error()},
		{cut(errors.New("ttrpc")), daemonset.Failed, "cut short"},
	} {
		runner.err.Store(&test.err)
		r.put(fmt.Sprint(i))
		if i == 0 {
			r.start()
		}
		if s := r.in(c, test.state, test.words, "not shown"); strings.Contains(s.Reason+s.Output, "hunter2") {
			t.Errorf("the target is %+v", s)
		}
	}
	if strings.Contains(r.said.String(), "hunter2") {
		t.Errorf("the log has it: %s", r.said)
	}
}

package agent_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/agent"
	"github.com/podreload/podreload/daemonset/check"
	"github.com/podreload/podreload/testenv"
)

// TestRefused: a bad configuration never comes near the running server, and the
// reason is the server's own, with the real path and line.
func TestRefused(t *testing.T) {
	testenv.EachVersion(t, func(t *testing.T, node *testenv.Node) {
		t.Parallel()
		r := newRig(t, node)
		r.profile(r.name, `process = "nginx"`, `check = "preset"`)
		p := r.pod(testenv.PodConfig{})
		c := p.Container("nginx")
		r.start()
		good := r.live(c, r.put("good")).Revision
		before := nginxOf(t, c)
		file := exec(t, c, "ls -i "+conf)
		r.put(bad)
		s := r.in(c, daemonset.Refused, "no_such_directive", conf+":1")
		if s.Owed || s.RetryAt.IsZero() || s.Revision != good || s.Reloads != 1 {
			t.Errorf("status %+v, want revision %d as it was, and another try", s, good)
		}
		if got := exec(t, c, "ls -i "+conf); got != file {
			t.Errorf("the file was touched: %s, before %s", got, file)
		}
		wantUntouched(t, c, before)
		serves(t, p, "good")
		r.await(c, "it is tried again", func(s daemonset.Status) bool { return s.Failures > 1 })
		if _, err := r.applier.Apply(t.Context(), r.manual(c)); !errors.Is(err, check.ErrRefused) || agent.StateOf(err) != daemonset.Refused {
			t.Errorf("apply: %v, want it refused", err)
		}
		if _, err := r.applier.Check(t.Context(), r.manual(c)); !errors.Is(err, check.ErrRefused) {
			t.Errorf("check: %v, want it refused", err)
		}
		r.live(c, r.put("good again"))
		serves(t, p, "good again")
		if _, err := r.applier.Check(t.Context(), r.manual(c)); err != nil {
			t.Errorf("check of what is live: %v", err)
		}
	})
}

// TestRefusedAfterCutOff: what an apply that was cut off left is undone when what
// is wanted by then is refused.
func TestRefusedAfterCutOff(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.profile(r.name, `process = "nginx"`, `check = "preset"`)
	p := r.pod(testenv.PodConfig{})
	c := p.Container("nginx")
	daemon := startDaemon(t, r)
	one := r.live(c, r.put("one")).Revision
	master := nginxOf(t, c).master
	resume := stopped(t, master)
	r.put("two")
	pending(t, master, unix.SIGHUP)
	daemon.kill()
	resume()
	serves(t, p, "two")
	r.put(bad)
	outcome, err := r.applier.Apply(t.Context(), r.manual(c))
	if s := outcome.Status; !errors.Is(err, check.ErrRefused) || s.State != daemonset.Refused || s.Owed || s.Revision != one {
		t.Errorf("%v, status %+v; want it refused, revision %d and nothing owed", err, s, one)
	}
	serves(t, p, "one")
}

// TestCheckCommands: a resource's check_cmd takes the place of the server's own,
// and runs in the twin, where the new file is in its place.
func TestCheckCommands(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		cmd     string
		refused bool
	}{
		"passes":          {`check_cmd = "grep -q value {{.src}}"`, false},
		"refuses":         {`check_cmd = "grep -q nothing_of_the_kind {{.src}}"`, true},
		"with shell":      {`check_cmd = "test -n \"$PATH\" && nginx -t 2>/dev/null"`, false},
		"no such command": {`check_cmd = "no-such-command {{.src}}"`, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, testenv.SharedNode(t, testenv.V2))
			r.resource(r.name, tt.cmd+"\n"+`dest = "`+conf+`"`, `process = "nginx"`, `check = "preset"`)
			c := r.pod(testenv.PodConfig{}).Container("nginx")
			r.put("value")
			r.start()
			if tt.refused {
				r.in(c, daemonset.Refused)
				if got := exec(t, c, "cat "+conf); strings.Contains(got, "value") {
					t.Errorf("refused, and written: %q", got)
				}
				return
			}
			r.live(c, 0)
		})
	}
}

// impossible is a checker that can make no twins.
type impossible struct{}

func (impossible) Check(context.Context, check.Trial) (check.Verdict, error) {
	return check.Verdict{}, fmt.Errorf("%w: a test says so", check.ErrUnsupported)
}

func (impossible) Prove(check.Trial) error  { return check.ErrUnsupported }
func (impossible) Proved(check.Trial) error { return check.ErrUnsupported }

// TestCheckImpossible: the profile says what that means. The default is to leave
// the container alone.
func TestCheckImpossible(t *testing.T) {
	t.Parallel()
	for word, state := range map[string]daemonset.State{"preset": daemonset.Unsupported, "if-possible": daemonset.Live} {
		t.Run(word, func(t *testing.T) {
			r := newRig(t, testenv.SharedNode(t, testenv.V2))
			r.applier.Checker = impossible{}
			r.profile(r.name, `process = "nginx"`, fmt.Sprintf("check = %q", word))
			p := r.pod(testenv.PodConfig{})
			c := p.Container("nginx")
			r.put("value")
			r.start()
			r.in(c, state, "a test says so")
			if state == daemonset.Unsupported {
				if got := exec(t, c, "cat "+conf); strings.Contains(got, "value") {
					t.Errorf("unchecked, and written: %q", got)
				}
			}
		})
	}
}

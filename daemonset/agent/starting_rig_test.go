package agent_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/agent"
	"github.com/podreload/podreload/daemonset/check"
	"github.com/podreload/podreload/testenv"
)

// recording is nginx behind a command that keeps what it found in place when it began,
// before anything else ran.
var recording = testenv.ContainerConfig{Name: "nginx", Command: []string{"sh", "-c", "cat " + conf + " >/tmp/first; exec nginx -g 'daemon off;'"}}

// newStartRig is a rig whose containers get their files before they start.
func newStartRig(t *testing.T, node *testenv.Node, check string) *rig {
	t.Helper()
	r := newRig(t, node)
	r.early = true
	r.profile(r.name, `process = "nginx"`, `container = "nginx"`, fmt.Sprintf("check = %q", check))
	return r
}

// registered waits until containerd tells the agent of starts.
func (r *rig) registered(times int) {
	r.t.Helper()
	eventually(r.t, "NRI has taken the plugin", func() error {
		if got := len(r.said.lines("NRI tells of them")); got < times {
			return fmt.Errorf("%d registrations", got)
		}
		return nil
	})
}

// began waits for what became of a container that was about to start.
func (r *rig) began(c *testenv.Container) daemonset.Event {
	r.t.Helper()
	late := time.After(patience)
	for {
		select {
		case e := <-r.starts:
			if e.ContainerID == c.ID {
				return e
			}
		case <-late:
			r.t.Fatalf("no event of the start of %s", c.ID)
		}
	}
}

// replica runs one more pod of the rig.
func (r *rig) replica(n int, containers ...testenv.ContainerConfig) *testenv.Pod {
	r.t.Helper()
	return r.pod(testenv.PodConfig{Name: fmt.Sprintf("%s-%d", r.name, n), Containers: containers})
}

// wantPlaced fails unless the files were in place before the container's command began.
func wantPlaced(t *testing.T, r *rig, c *testenv.Container, value string, revision int64) {
	t.Helper()
	e := r.began(c)
	if e.Kind != daemonset.Start || e.State != daemonset.Waiting || e.Revision < revision || len(e.Wrote) != 1 || e.Wrote[0] != conf || e.Digest == "" {
		t.Errorf("event %+v, want %s written of revision %d or later", e, conf, revision)
	}
	if got := found(t, c); !strings.Contains(got, `"`+value+`"`) {
		t.Errorf("the container's first process found %q, want %q in it", got, value)
	}
}

// wantNotPlaced fails unless the container began with what its image has, and the event says why.
func wantNotPlaced(t *testing.T, r *rig, c *testenv.Container, state daemonset.State, why string) {
	t.Helper()
	e := r.began(c)
	if e.State != state || !strings.Contains(e.Reason, why) || e.Wrote != nil || e.Digest != "" {
		t.Errorf("event %+v, want %s and nothing written, since %q", e, state, why)
	}
	if got := found(t, c); !strings.Contains(got, "hello from the image") {
		t.Errorf("the container's first process found %q, want what the image has", got)
	}
}

// found is what the first process of a recording container found in place: runc may have
// answered before that had written it down.
func found(t *testing.T, c *testenv.Container) (text string) {
	t.Helper()
	eventually(t, "the first process has written down what it found", func() (err error) {
		if text, err = c.Exec(t.Context(), "cat", "/tmp/first"); err == nil && text == "" {
			err = errors.New("it has not")
		}
		return err
	})
	return text
}

// counting counts the checks that are asked for, and the proofs that are told.
type counting struct {
	agent.Checker
	checks, proofs atomic.Int32
}

func (c *counting) Check(ctx context.Context, t check.Trial) (check.Verdict, error) {
	c.checks.Add(1)
	return c.Checker.Check(ctx, t)
}

func (c *counting) Prove(t check.Trial) error {
	defer c.proofs.Add(1)
	return c.Checker.Prove(t)
}

// firstAnswer is what a pod's server says to the first request that it answers.
func firstAnswer(t *testing.T, p *testenv.Pod) (answer string) {
	t.Helper()
	eventually(t, "it answers", func() (err error) {
		answer, err = p.Get(t.Context(), 80, "/")
		return err
	})
	return answer
}

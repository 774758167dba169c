package shim_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/shim"
	"github.com/podreload/podreload/testenv"
)

// patience is how long a container may take on a slow and busy machine.
const patience = time.Minute

// echo is a server that says of every HUP that it got it.
var echo = []string{"sh", "-c", `trap 'echo got hup' HUP; trap exit TERM; echo ready; while :; do sleep infinity & wait $!; kill $!; done`}

// crossed is a real container and the way into it.
type crossed struct {
	t    *testing.T
	c    *testenv.Container
	p    *nsenter.Process
	shim *nsenter.Shim
}

// enter runs a pod of one container, "main", which is an echo unless its config
// has another command.
func enter(t *testing.T, node *testenv.Node, pod testenv.PodConfig, c testenv.ContainerConfig) *crossed {
	t.Helper()
	s, err := nsenter.Seal(testenv.Shim(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	c.Name = "main"
	if c.Command == nil {
		c.Command = echo
	}
	pod.Containers = []testenv.ContainerConfig{c}
	p, err := node.RunPod(t.Context(), pod)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Remove(context.Background()); err != nil {
			t.Error(err)
		}
	})
	in := &crossed{t: t, c: p.Container("main"), shim: s}
	pid, err := in.c.Pid(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if in.p, err = nsenter.Pin(pid); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.p.Close() })
	in.says("ready")
	return in
}

// cross does a request as the agent does.
func (in *crossed) cross(req shim.Request) shim.Result {
	in.t.Helper()
	b, err := req.Encode()
	if err != nil {
		in.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(in.t.Context(), patience)
	defer cancel()
	reply, err := in.shim.Cross(ctx, in.p, in.p, b)
	if err != nil {
		in.t.Fatal(err)
	}
	res, err := shim.DecodeResult(reply)
	if err != nil {
		in.t.Fatal(err)
	}
	return res
}

// refused does a request that has to end with these very words.
func (in *crossed) refused(req shim.Request, words string) {
	in.t.Helper()
	res := in.cross(req)
	if res.Error == nil || res.Error.Error() != words {
		in.t.Errorf("%v\nwant %s", res.Err(), words)
	}
	if res.Committed || res.Signalled || res.Changed() {
		in.t.Errorf("and yet: %+v", res)
	}
}

// sh runs a command inside and returns what it says.
func (in *crossed) sh(command string) string {
	in.t.Helper()
	out, err := in.c.Exec(in.t.Context(), "sh", "-c", command)
	if err != nil {
		in.t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// says waits until the container has written something to its log.
func (in *crossed) says(what string) {
	in.t.Helper()
	ctx, cancel := context.WithTimeout(in.t.Context(), patience)
	defer cancel()
	for {
		log, err := in.c.Logs()
		if err == nil && strings.Contains(log, what) {
			return
		}
		select {
		case <-ctx.Done():
			in.t.Fatalf("it never said %q; %v; its log:\n%s", what, err, log)
		case <-time.After(10 * time.Millisecond): // the runtime copies a container's output in its own time
		}
	}
}

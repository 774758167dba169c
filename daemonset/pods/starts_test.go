package pods

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/testenv"
)

// starting collects what a watch of starts tells.
type starting struct {
	t     *testing.T
	calls chan daemonset.Container
	said  chan error
	stop  func()
}

// longHold is what a busy machine may need for a start, and less than containerd gives a plugin.
const longHold = 1900 * time.Millisecond

// watchStarts watches until the end of the test. The call itself is do's.
func watchStarts(t *testing.T, client *Client, socket string, within time.Duration, do func(context.Context, daemonset.Container)) *starting {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	s := &starting{t: t, calls: make(chan daemonset.Container, 100), said: make(chan error, 100)}
	done := make(chan error, 1)
	go func() {
		done <- Starts{Client: client, Socket: socket, Within: within}.Watch(ctx, func(ctx context.Context, c daemonset.Container) {
			s.calls <- c
			if do != nil {
				do(ctx, c)
			}
		}, func(err error) { s.said <- err })
	}()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Watch returned %v", err)
		}
	})
	t.Cleanup(s.stop)
	return s
}

// told waits for what is said next.
func (s *starting) told() error {
	s.t.Helper()
	select {
	case err := <-s.said:
		return err
	case <-time.After(patience):
		s.t.Fatal("nothing is said")
		return nil
	}
}

func (s *starting) next() daemonset.Container {
	s.t.Helper()
	select {
	case c := <-s.calls:
		return c
	case <-time.After(patience):
		s.t.Fatal("no call")
		return daemonset.Container{}
	}
}

// TestStarts: NRI tells of a container while its process is the runtime's, with the facts that a
// list tells later; of no sandbox; once.
func TestStarts(t *testing.T) {
	node := testenv.NewNode(t, testenv.V2)
	client := dial(t, node)
	// The call may ask containerd, which holds a lock of NRI's meanwhile.
	var before []error
	w := watchStarts(t, client, node.NRISocket(), longHold, func(ctx context.Context, c daemonset.Container) {
		listed, err := client.List(ctx)
		for _, l := range listed {
			if l.ID == c.ID {
				err = errors.New("it runs already")
			}
		}
		before = append(before, err)
	})
	if err := w.told(); err != nil {
		t.Fatal(err)
	}
	pod := runPod(t, node, testenv.PodConfig{Name: "p", Labels: map[string]string{"app": "web"}, Containers: []testenv.ContainerConfig{
		{Name: "a", Command: sleep}, {Name: "b", Command: sleep},
	}})
	for _, name := range []string{"a", "b"} {
		c := w.next()
		if want := list(t, client)["default/p/"+name]; c.ID != pod.Container(name).ID || c.Pid != want.Pid || c.Pod.Labels["app"] != "web" ||
			c.String() != want.String() || c.Image != want.Image {
			t.Errorf("told of %+v, want %+v", c, want)
		}
	}
	for _, err := range before {
		if err != nil {
			t.Errorf("while it started: %v", err)
		}
	}

	// It reconnects to a containerd that is there again, and says each once.
	if err := node.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.told(); !errors.Is(err, ErrNoNRI) {
		t.Errorf("containerd stopped: %v", err)
	}
	if err := w.told(); err != nil {
		t.Errorf("containerd is there again: %v", err)
	}
	c, err := pod.Restart(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if got := w.next(); got.ID != c.ID {
		t.Errorf("told of %s, want %s", got.ID, c.ID)
	}
	w.stop()
	if len(w.calls) > 0 || len(w.said) > 0 {
		t.Errorf("%d more calls, %d more said", len(w.calls), len(w.said))
	}
}

// TestStartsNeverFail: whatever a call does, the container starts, and the plugin stays.
func TestStartsNeverFail(t *testing.T) {
	node := testenv.NewNode(t, testenv.V2)
	release := make(chan struct{})
	w := watchStarts(t, dial(t, node), node.NRISocket(), 0, func(ctx context.Context, c daemonset.Container) {
		switch c.Name {
		case "panics":
			panic("a test says so")
		case "hangs":
			<-release
		}
	})
	if err := w.told(); err != nil {
		t.Fatal(err)
	}
	pod := runPod(t, node, testenv.PodConfig{Name: "p", Containers: []testenv.ContainerConfig{
		{Name: "panics", Command: sleep}, {Name: "hangs", Command: sleep}, {Name: "last", Command: sleep},
	}})
	for _, name := range []string{"panics", "hangs", "last"} {
		if c := w.next(); c.Name != name {
			t.Errorf("told of %s, want %s", c.Name, name)
		}
		if _, err := pod.Container(name).Pid(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := w.told(); err == nil || !strings.Contains(err.Error(), "a test says so") {
		t.Errorf("of the panic it says %v", err)
	}
	close(release)
	w.stop()
	if len(w.said) > 0 {
		t.Errorf("more is said: %v", <-w.said)
	}
}

// TestStartsByEvents: without NRI the events tell, on each containerd, and that there is none is
// said once.
func TestStartsByEvents(t *testing.T) {
	eachVersion(t, func(t *testing.T, node *testenv.Node, client *Client) {
		w := watchStarts(t, client, filepath.Join(node.Dir(), "none.sock"), longHold, nil)
		if err := w.told(); !errors.Is(err, ErrNoNRI) {
			t.Errorf("without a socket: %v", err)
		}
		// When a subscription begins containerd does not say, nor does an event come at once.
		started := map[string]bool{}
		for n := 0; ; n++ {
			pod := runPod(t, node, testenv.PodConfig{Name: "p", Containers: []testenv.ContainerConfig{{Name: "a", Command: sleep}}})
			started[pod.Container("a").ID] = true
			if len(w.calls) > 0 {
				break
			}
			if n == 20 {
				t.Fatal("no event of 20 pods")
			}
			remove(t, pod)
		}
		w.stop()
		for len(w.calls) > 0 {
			if c := w.next(); !started[c.ID] || c.Pid == 0 {
				t.Errorf("told of %+v, want one of %v", c, started)
			}
		}
		if len(w.said) > 0 {
			t.Errorf("more is said: %v", <-w.said)
		}
	})
}

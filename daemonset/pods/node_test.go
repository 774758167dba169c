package pods

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/testenv"
)

// patience is how long an event may take on a slow and busy machine.
const patience = time.Minute

// sleep ends at once when it is told to, which PID 1 does only if it says so.
var sleep = []string{"sh", "-c", "trap exit TERM; sleep infinity & wait"}

func TestMain(m *testing.M) { testenv.Main(m) }

// eachVersion runs a test on a node of each containerd.
func eachVersion(t *testing.T, test func(*testing.T, *testenv.Node, *Client)) {
	for _, version := range []testenv.Version{testenv.Debian, testenv.V2} {
		t.Run(string(version), func(t *testing.T) {
			node := testenv.NewNode(t, version)
			test(t, node, dial(t, node))
		})
	}
}

func dial(t *testing.T, node *testenv.Node) *Client {
	t.Helper()
	client, err := Dial("unix://"+node.Socket(), "k8s.io")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return client
}

func runPod(t *testing.T, node *testenv.Node, config testenv.PodConfig) *testenv.Pod {
	t.Helper()
	pod, err := node.RunPod(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

func list(t *testing.T, client *Client) map[string]daemonset.Container {
	t.Helper()
	containers, err := client.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return byName(containers)
}

func byName(containers []daemonset.Container) map[string]daemonset.Container {
	m := make(map[string]daemonset.Container)
	for _, c := range containers {
		m[c.String()] = c
	}
	return m
}

// watching collects what Watch says.
type watching struct {
	t       *testing.T
	updates chan Update
	last    Update
	count   int
}

// startWatch watches until the test ends, and fails it if the receiver of events
// is left then.
func startWatch(t *testing.T, client *Client) *watching {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context())) // t.Context ends before the cleanup
	w := &watching{t: t, updates: make(chan Update, 1000)}
	done := make(chan error)
	go func() {
		done <- client.Watch(ctx, func(u Update) { w.updates <- u })
	}()
	t.Cleanup(func() {
		if !receiving() {
			t.Error("no receiver of events while Watch runs")
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Watch returned %v", err)
		}
		// Its last act is to close a channel, which Watch waits for: it may be about to end.
		for deadline := time.Now().Add(patience); receiving(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Error("the receiver of events outlives Watch")
				break
			}
		}
	})
	return w
}

// receiving tells whether a goroutine receives containerd's events.
func receiving() bool {
	stacks := make([]byte, 4<<20)
	return strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), ").Subscribe.func")
}

// await returns the first update that is as wanted.
func (w *watching) await(what string, wanted func(Update) bool) Update {
	w.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case w.last = <-w.updates:
			w.count++
			if wanted(w.last) {
				return w.last
			}
		case <-timeout:
			w.t.Fatalf("no update with %s; last: %+v", what, w.last)
		}
	}
}

func (w *watching) awaitIDs(what string, ids ...string) Update {
	w.t.Helper()
	return w.await(what, func(u Update) bool { return u.Err == nil && sameIDs(u, ids) })
}

func sameIDs(u Update, ids []string) bool {
	want, got := make(map[string]bool), make(map[string]bool)
	for _, id := range ids {
		want[id] = true
	}
	for _, c := range u.Containers {
		got[c.ID] = true
	}
	return cmp.Equal(want, got)
}

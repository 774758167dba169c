package pods

import (
	"errors"
	"syscall"
	"testing"

	"github.com/podreload/podreload/testenv"
)

func TestWatch(t *testing.T) {
	eachVersion(t, func(t *testing.T, node *testenv.Node, client *Client) {
		w := startWatch(t, client)
		w.awaitIDs("nothing")
		pod := runPod(t, node, testenv.PodConfig{Name: "p", Labels: map[string]string{"app": "web"}, Containers: []testenv.ContainerConfig{
			{Name: "a", Command: sleep}, {Name: "b", Command: sleep},
		}})
		a, b := pod.Container("a").ID, pod.Container("b").ID
		if u := w.awaitIDs("both", a, b); u.Containers[0].Name != "a" || u.Containers[1].Pod.Labels["app"] != "web" {
			t.Errorf("got %+v", u.Containers)
		}

		// Probes are execs: their ends are no news.
		before := w.count
		for range 5 {
			if _, err := pod.Container("a").Exec(t.Context(), "true"); err != nil {
				t.Fatal(err)
			}
		}
		pause(t, client, b)
		w.awaitIDs("a alone while b is paused", a)
		if w.count != before+1 {
			t.Errorf("%d updates for one pause and 5 execs, want 1", w.count-before)
		}
		resume(t, client, b)
		w.awaitIDs("both after b was resumed", a, b)

		restarted, err := pod.Restart(t.Context(), "b")
		if err != nil {
			t.Fatal(err)
		}
		w.awaitIDs("another b", a, restarted.ID)

		// While containerd is away the last set stays, with the reason; what
		// ends meanwhile is gone when it is back.
		if err := node.StopContainerd(); err != nil {
			t.Fatal(err)
		}
		u := w.await("containerd away", func(u Update) bool { return errors.Is(u.Err, ErrAway) })
		if !sameIDs(u, []string{a, restarted.ID}) {
			t.Errorf("while containerd is away: %+v", u.Containers)
		}
		if err := syscall.Kill(u.Containers[1].Pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := node.StartContainerd(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.awaitIDs("a alone after the restart", a)

		// The new connection has events, too.
		again, err := pod.StartContainer(t.Context(), testenv.ContainerConfig{Name: "b", Command: sleep})
		if err != nil {
			t.Fatal(err)
		}
		w.awaitIDs("b again", a, again.ID)
		remove(t, pod)
		w.awaitIDs("nothing again")
	})
}

func pause(t *testing.T, client *Client, id string) {
	t.Helper()
	container, err := client.containerd.LoadContainer(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	task, err := container.Task(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := task.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func resume(t *testing.T, client *Client, id string) {
	t.Helper()
	container, err := client.containerd.LoadContainer(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	task, err := container.Task(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := task.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
}

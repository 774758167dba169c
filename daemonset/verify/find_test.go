package verify

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/podreload/podreload/nsenter"
)

var nginx = presets[0]

const (
	masterTitle   = "nginx: master process /usr/sbin/nginx"
	workerTitle   = "nginx: worker process"
	drainingTitle = "nginx: worker process is shutting down"
	cacheTitle    = "nginx: cache manager process"
)

// server is an nginx with two workers.
func server() node {
	return node{Name: "nginx", Title: masterTitle, Children: []node{
		{Name: "nginx", Title: workerTitle},
		{Name: "nginx", Title: workerTitle},
	}}
}

// descend walks down the tree from a pid: the n-th child, of that the n-th…
func descend(t *testing.T, pid int, steps ...int) int {
	t.Helper()
	for _, n := range steps {
		children, err := nsenter.Children(pid)
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(children) // they start one after the other
		pid = children[n]
	}
	return pid
}

func TestFind(t *testing.T) {
	test := server()
	test.Children = nil
	test.Ignore = true // as `nginx -t`, which installs no handlers

	tests := []struct {
		name string
		tree node
		want []int // the way from init to the master
		err  error
		says string
	}{
		{name: "init itself", tree: server(), want: []int{}},
		{name: "below a shell", tree: node{Name: "sh", Children: []node{server()}}, want: []int{0}},
		{name: "below tini and a script", tree: node{Name: "tini", Children: []node{
			{Name: "sh", Children: []node{{Name: "sleep"}, server()}},
		}}, want: []int{0, 1}},
		{name: "titles lie", tree: node{Name: "sh", Title: masterTitle, Children: []node{
			{Name: "sleep", Title: masterTitle},
			{Name: "nginx", Title: "sleep", Children: []node{{Name: "nginx", Title: masterTitle}}},
		}}, want: []int{1}},
		{name: "the debug binary", tree: node{Name: "nginx-debug"}, want: []int{}},
		{name: "beside a configuration test", tree: node{Name: "sh", Children: []node{test, server()}}, want: []int{1}},
		{name: "no handler yet", tree: node{Name: "sh", Children: []node{test}}, err: ErrNoServer, says: "still starting"},
		{name: "nothing", tree: node{Name: "sh"}, err: ErrNoServer, says: "no process of the container runs nginx"},
		{name: "another name", tree: node{Name: "nginx.sh"}, err: ErrNoServer},
		{name: "two", tree: node{Name: "sh", Children: []node{server(), server()}}, err: ErrAmbiguous},
		{name: "a zombie", tree: node{Name: "sh", Children: []node{{Name: "nginx", Exit: true}}}, err: ErrNoServer},
		{name: "beside a zombie", tree: node{Name: "sh", Children: []node{{Name: "nginx", Exit: true}, server()}}, want: []int{1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.tree.Cgroup = cgroup(t)
			init := plant(t, test.tree)
			master, err := nginx.Find(t.Context(), pin(t, init.pid))
			if test.err != nil {
				if !errors.Is(err, test.err) || !strings.Contains(err.Error(), test.says) {
					t.Fatalf("got %v, want %v that says %q", err, test.err, test.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer master.Close()
			if want := descend(t, init.pid, test.want...); master.Pid() != want {
				t.Errorf("got process %d, want %d", master.Pid(), want)
			}
		})
	}
}

// Two masters are named, so that a person can tell which to stop.
func TestFindNamesBoth(t *testing.T) {
	init := plant(t, node{Name: "sh", Cgroup: cgroup(t), Children: []node{server(), server()}})
	_, err := nginx.Find(t.Context(), pin(t, init.pid))
	if err == nil {
		t.Fatal("found one of two")
	}
	for n := range 2 {
		if pid := descend(t, init.pid, n); !strings.Contains(err.Error(), "process "+itoa(pid)) {
			t.Errorf("%q does not name process %d", err, pid)
		}
	}
}

// With a shared PID namespace a server may hang anywhere in the tree, beside
// those of other containers: the cgroup tells.
func TestFindElsewhere(t *testing.T) {
	mine, others := cgroup(t), cgroup(t)
	init := plant(t, node{Name: "sh", Cgroup: mine})
	other := server()
	other.Cgroup = others
	plant(t, other)
	if _, err := nginx.Find(t.Context(), pin(t, init.pid)); !errors.Is(err, ErrNoServer) {
		t.Errorf("with one in another container: got %v, want %v", err, ErrNoServer)
	}

	background := server()
	background.Cgroup = mine
	want := plant(t, background)
	master, err := nginx.Find(t.Context(), pin(t, init.pid))
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	if master.Pid() != want.pid {
		t.Errorf("got process %d, want %d", master.Pid(), want.pid)
	}
}

// A descendant that was moved to another container is not init's server.
func TestFindDescendantElsewhere(t *testing.T) {
	other := server()
	other.Cgroup = cgroup(t)
	init := plant(t, node{Name: "sh", Cgroup: cgroup(t), Children: []node{other}})
	if _, err := nginx.Find(t.Context(), pin(t, init.pid)); !errors.Is(err, ErrNoServer) {
		t.Errorf("got %v, want %v", err, ErrNoServer)
	}
}

func TestFindGone(t *testing.T) {
	top := plant(t, node{Name: "sh", Cgroup: cgroup(t), Children: []node{server()}})
	init := pin(t, descend(t, top.pid, 0))
	top.do(t, "kill %d", init.Pid())
	if _, err := nginx.Find(t.Context(), init); !errors.Is(err, ErrGone) {
		t.Errorf("got %v, want %v", err, ErrGone)
	}
}

func TestFindCancelled(t *testing.T) {
	init := plant(t, server())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := nginx.Find(ctx, pin(t, init.pid)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

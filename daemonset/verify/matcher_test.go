package verify

import (
	"errors"
	"testing"
	"time"

	"github.com/podreload/podreload/daemonset"
)

func mustMatch(t *testing.T, success string, after time.Duration) Preset {
	t.Helper()
	p, err := Match(daemonset.Matcher{Exe: []string{"nginx"}, Signal: "HUP", Success: success, After: after})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The children of a matcher have no titles, and old ones may end before there are
// new ones.
func TestMatcherChildren(t *testing.T) {
	p := mustMatch(t, daemonset.SuccessChildren, 0)
	tr := plant(t, node{Name: "nginx", Cgroup: cgroup(t), Children: []node{{Name: "sh"}}})
	master := pin(t, tr.pid)
	if _, err := p.Before(master); !errors.Is(err, ErrNoServer) {
		t.Fatalf("with a child of another executable: got %v, want %v", err, ErrNoServer)
	}
	old := []int{tr.start(t, "a"), tr.start(t, "b")}
	pr, err := p.Before(master)
	if err != nil {
		t.Fatal(err)
	}
	defer pr.Close()
	tr.do(t, "kill %d", old[0])
	tr.start(t, "c")
	if err := waitAtMost(t, pr, enough); !errors.Is(err, ErrNotTaken) {
		t.Errorf("one of two: got %v, want %v", err, ErrNotTaken)
	}
	tr.do(t, "kill %d", old[1])
	if err := waitAtMost(t, pr, patience); err != nil {
		t.Error(err)
	}
}

func TestMatcherAlive(t *testing.T) {
	long := mustMatch(t, daemonset.SuccessAlive, time.Hour)
	top := plant(t, node{Name: "sh", Cgroup: cgroup(t), Children: []node{{Name: "nginx"}}})
	master := pin(t, descend(t, top.pid, 0))
	pr, err := long.Before(master)
	if err != nil {
		t.Fatal(err)
	}
	defer pr.Close()
	hup(t, master)
	says(t, pr, "1h0m0s")
	short, err := mustMatch(t, daemonset.SuccessAlive, time.Millisecond).Before(master)
	if err != nil {
		t.Fatal(err)
	}
	defer short.Close()
	if err := waitAtMost(t, short, patience); err != nil {
		t.Error(err)
	}
	top.do(t, "kill %d", master.Pid())
	if err := waitAtMost(t, pr, patience); !errors.Is(err, ErrGone) {
		t.Errorf("gone: got %v, want %v", err, ErrGone)
	}
}

func TestCensus(t *testing.T) {
	tr := plant(t, node{Name: "nginx", Title: masterTitle, Cgroup: cgroup(t), Children: []node{
		{Name: "nginx", Title: workerTitle},
		{Name: "nginx", Title: cacheTitle},
		{Name: "nginx", Title: drainingTitle},
		{Name: "nginx", Title: drainingTitle},
		{Name: "sh", Title: workerTitle},
		{Name: "nginx", Title: workerTitle, Exit: true},
	}})
	master := pin(t, tr.pid)
	if serving, draining, err := nginx.Census(master); err != nil || serving != 1 || draining != 2 {
		t.Errorf("got %d and %d, %v, want 1 and 2", serving, draining, err)
	}
	p := mustMatch(t, daemonset.SuccessChildren, 0)
	if serving, draining, err := p.Census(master); err != nil || serving != 4 || draining != 0 {
		t.Errorf("matcher: got %d and %d, %v, want 4 and 0", serving, draining, err)
	}
	if serving, _, err := mustMatch(t, daemonset.SuccessNone, 0).Census(master); err != nil || serving != 0 {
		t.Errorf("nothing that shows: got %d, %v", serving, err)
	}
	top := plant(t, node{Name: "sh", Cgroup: cgroup(t), Children: []node{server()}})
	gone := pin(t, descend(t, top.pid, 0))
	top.do(t, "kill %d", gone.Pid())
	if _, _, err := nginx.Census(gone); !errors.Is(err, ErrGone) {
		t.Errorf("gone: got %v, want %v", err, ErrGone)
	}
}

package verify

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// enough is how long a proof that must not come is waited for.
const enough = time.Second

// begin starts a master with children of those titles, and a proof of it.
func begin(t *testing.T, titles ...string) (*tree, []int, *Proof) {
	t.Helper()
	tr := plant(t, node{Name: "nginx", Title: masterTitle, Cgroup: cgroup(t)})
	var pids []int
	for _, title := range titles {
		pids = append(pids, tr.start(t, title))
	}
	pr, err := nginx.Before(pin(t, tr.pid))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pr.Close() })
	pr.preset.Overlap = time.Hour // no look is late, however busy the machine
	return tr, pids, pr
}

func (pr *Proof) mustLook(t testing.TB) {
	t.Helper()
	if err := pr.look(); err != nil {
		t.Fatal(err)
	}
}

func TestWait(t *testing.T) {
	tests := []struct {
		name   string
		before []string
		play   func(t *testing.T, tr *tree, old []int, pr *Proof)
		says   string // empty: proved
	}{
		{
			name:   "one ends, one drains",
			before: []string{workerTitle, workerTitle},
			play: func(t *testing.T, tr *tree, old []int, pr *Proof) {
				tr.start(t, workerTitle)
				tr.start(t, workerTitle)
				pr.mustLook(t)
				tr.do(t, "kill %d", old[0])
				tr.do(t, "title %d %s", old[1], drainingTitle)
			},
		},
		{
			name:   "fewer workers, cache helpers, and one that drains since before",
			before: []string{workerTitle, workerTitle, cacheTitle, drainingTitle},
			play: func(t *testing.T, tr *tree, old []int, pr *Proof) {
				tr.start(t, workerTitle)
				tr.start(t, cacheTitle)
				pr.mustLook(t)
				tr.do(t, "kill %d", old[0])
				tr.do(t, "kill %d", old[1])
			},
		},
		{
			name:   "nothing happens",
			before: []string{workerTitle, workerTitle},
			play:   func(*testing.T, *tree, []int, *Proof) {},
			says:   "the same 2 workers",
		},
		{
			name:   "the only one crashes and comes again",
			before: []string{workerTitle},
			play: func(t *testing.T, tr *tree, old []int, pr *Proof) {
				tr.do(t, "kill %d", old[0])
				tr.start(t, workerTitle)
			},
			says: "crashed",
		},
		{
			name:   "the new one has not titled itself when the old one ends",
			before: []string{workerTitle},
			play: func(t *testing.T, tr *tree, old []int, pr *Proof) {
				pid := tr.start(t, masterTitle)
				pr.mustLook(t)
				tr.do(t, "kill %d", old[0])
				pr.mustLook(t)
				tr.do(t, "title %d %s", pid, workerTitle)
			},
		},
		{
			name:   "the overlap fits in between two looks",
			before: []string{workerTitle},
			play: func(t *testing.T, tr *tree, old []int, pr *Proof) {
				pr.preset.Overlap = time.Nanosecond
				tr.do(t, "kill %d", old[0])
				tr.start(t, workerTitle)
			},
		},
		{
			name:   "one of two crashes and comes again",
			before: []string{workerTitle, workerTitle},
			play: func(t *testing.T, tr *tree, old []int, pr *Proof) {
				tr.do(t, "kill %d", old[0])
				tr.start(t, workerTitle)
			},
			says: "worker",
		},
		{
			name:   "one is left over",
			before: []string{workerTitle, workerTitle},
			play: func(t *testing.T, tr *tree, old []int, pr *Proof) {
				tr.start(t, workerTitle)
				pr.mustLook(t)
				tr.do(t, "kill %d", old[0])
			},
			says: "beside the old worker",
		},
		{
			name:   "a cache helper is no new worker",
			before: []string{workerTitle},
			play: func(t *testing.T, tr *tree, old []int, pr *Proof) {
				tr.start(t, cacheTitle)
				tr.do(t, "title %d %s", old[0], drainingTitle)
			},
			says: "no worker runs",
		},
		{
			name:   "another program with the title is no new worker",
			before: []string{workerTitle},
			play: func(t *testing.T, tr *tree, old []int, pr *Proof) {
				tr.do(t, `start {"Name":"sh","Title":%q}`, workerTitle)
				tr.do(t, "title %d %s", old[0], drainingTitle)
			},
			says: "no worker runs",
		},
		{
			name:   "the new ones end",
			before: []string{workerTitle},
			play: func(t *testing.T, tr *tree, old []int, pr *Proof) {
				pid := tr.start(t, workerTitle)
				pr.mustLook(t)
				tr.do(t, "title %d %s", old[0], drainingTitle)
				tr.do(t, "kill %d", pid)
			},
			says: "no worker runs",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			tr, old, pr := begin(t, test.before...)
			test.play(t, tr, old, pr)
			deadline := enough
			if test.says == "" {
				deadline = time.Minute
			}
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			err := pr.Wait(ctx)
			switch {
			case test.says == "":
				if err != nil {
					t.Error(err)
				}
			case !errors.Is(err, ErrNotTaken) || !strings.Contains(err.Error(), test.says):
				t.Errorf("got %v, want %v that says %q", err, ErrNotTaken, test.says)
			}
		})
	}
}

// What a reload that was under way already brings forth has not read our files.
func TestPendingSignal(t *testing.T) {
	tr, old, pr := begin(t, workerTitle)
	earlier := tr.start(t, workerTitle)
	pr.mustLook(t)
	pr.markOld() // as Wait does while the signal is pending
	tr.do(t, "kill %d", old[0])
	ctx, cancel := context.WithTimeout(t.Context(), enough)
	defer cancel()
	if err := pr.Wait(ctx); !errors.Is(err, ErrNotTaken) {
		t.Errorf("with the workers of the earlier reload: got %v, want %v", err, ErrNotTaken)
	}
	tr.start(t, workerTitle)
	pr.mustLook(t)
	tr.do(t, "kill %d", earlier)
	if err := pr.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestWaitGone(t *testing.T) {
	top := plant(t, node{Name: "sh", Cgroup: cgroup(t), Children: []node{server()}})
	master := pin(t, descend(t, top.pid, 0))
	pr, err := nginx.Before(master)
	if err != nil {
		t.Fatal(err)
	}
	defer pr.Close()
	top.do(t, "kill %d", master.Pid())
	if err := pr.Wait(t.Context()); !errors.Is(err, ErrGone) {
		t.Errorf("got %v, want %v", err, ErrGone)
	}
	if _, err := nginx.Before(master); !errors.Is(err, ErrGone) {
		t.Errorf("before: got %v, want %v", err, ErrGone)
	}
}

func TestWaitCancelled(t *testing.T) {
	_, _, pr := begin(t, workerTitle)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := pr.Wait(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, ErrNotTaken) {
		t.Errorf("got %v, want %v alone", err, context.Canceled)
	}
}

func TestBefore(t *testing.T) {
	tests := []struct {
		name string
		tree node
		err  error
	}{
		{"with workers", server(), nil},
		{"still starting", node{Name: "nginx", Title: masterTitle, Block: true}, ErrNoServer},
		{"starting a worker", node{Name: "nginx", Title: masterTitle, Children: []node{{Name: "nginx", Title: masterTitle}}}, ErrNoServer},
		{"without a worker that can run", node{Name: "nginx", Title: masterTitle}, nil},
		{"ending", node{Name: "nginx", Title: masterTitle, Children: []node{{Name: "nginx", Title: drainingTitle}}}, ErrNoServer},
		{"master_process off", node{Name: "nginx"}, ErrUnprovable},
		{"upgrading", node{Name: "nginx", Title: masterTitle, Children: []node{
			{Name: "nginx", Title: workerTitle}, server(),
		}}, ErrAmbiguous},
		{"upgrading without old workers", node{Name: "nginx", Title: masterTitle, Children: []node{server()}}, ErrAmbiguous},
		{"going to the background", node{Name: "nginx", Children: []node{server()}}, ErrNoServer},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.tree.Cgroup = cgroup(t)
			tr := plant(t, test.tree)
			pr, err := nginx.Before(pin(t, tr.pid))
			if !errors.Is(err, test.err) || (err == nil) != (test.err == nil) {
				t.Errorf("got %v, want %v", err, test.err)
			}
			if err == nil {
				pr.Close()
			}
		})
	}
}

// TestTooManyWorkers: of so many, new and old ones could not be watched together.
func TestTooManyWorkers(t *testing.T) {
	pr := &Proof{preset: nginx, master: pin(t, os.Getpid()), children: map[int]*child{}}
	for i := range MaxChildren/2 + 1 {
		if err := pr.ready(); i > 0 && err != nil {
			t.Fatalf("%d workers: %v", i, err)
		}
		pr.children[i] = &child{server: true, role: worker, current: true}
	}
	if err := pr.ready(); !errors.Is(err, ErrUnprovable) {
		t.Errorf("%d workers: %v, want %v", len(pr.children), err, ErrUnprovable)
	}
	// Those of apache share their places.
	if pr.preset, _ = Lookup("apache"); pr.ready() != nil {
		t.Errorf("%d children of apache: %v", len(pr.children), pr.ready())
	}
}

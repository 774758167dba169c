package turns

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Turns hands out turns. It is safe for concurrent use.
type Turns struct {
	most time.Duration

	mu     sync.Mutex
	free   int
	groups []*group // those in which somebody waits, the next one first
}

// group is who waits, in the order in which they came.
type group struct {
	name    string
	waiting []chan struct{} // each closed when it is its turn
}

// New allows n at once. A turn lasts for most, which is many times what the work takes: work that
// goes on waits for something, so it is no load, and must not delay what has nothing to wait for. What
// bounds those that go on is how many can wait, such as the containers of a node.
func New(n int, most time.Duration) *Turns { return &Turns{free: n, most: most} }

// Take waits for a turn. The caller gives it back by done, which may be called twice. The error
// is the context's.
func (t *Turns) Take(ctx context.Context, name string) (done func(), err error) {
	if err := ctx.Err(); err != nil { // whoever was told to stop begins nothing, though there is room
		return nil, err
	}
	mine := t.join(name)
	select {
	case <-mine:
		over := sync.OnceFunc(t.next)
		late := time.AfterFunc(t.most, over)
		return func() { late.Stop(); over() }, nil
	case <-ctx.Done():
		t.leave(name, mine)
		return nil, ctx.Err()
	}
}

// join enters the queue, or takes a turn that is free: its channel is closed then.
func (t *Turns) join(name string) chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	mine := make(chan struct{})
	if t.free > 0 {
		t.free--
		close(mine)
		return mine
	}
	if i := t.find(name); i >= 0 {
		t.groups[i].waiting = append(t.groups[i].waiting, mine)
	} else {
		t.groups = append(t.groups, &group{name: name, waiting: []chan struct{}{mine}})
	}
	return mine
}

// leave gives up waiting, and gives a turn back that has just come.
func (t *Turns) leave(name string, mine chan struct{}) {
	t.mu.Lock()
	if i := t.find(name); i >= 0 {
		g := t.groups[i]
		if j := slices.Index(g.waiting, mine); j >= 0 {
			g.waiting = slices.Delete(g.waiting, j, j+1)
			if len(g.waiting) == 0 {
				t.groups = slices.Delete(t.groups, i, i+1)
			}
			t.mu.Unlock()
			return
		}
	}
	t.mu.Unlock()
	t.next()
}

// next hands a turn on: to the group whose it is, which then comes last.
func (t *Turns) next() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.groups) == 0 {
		t.free++
		return
	}
	g := t.groups[0]
	close(g.waiting[0])
	t.groups, g.waiting = t.groups[1:], g.waiting[1:]
	if len(g.waiting) > 0 {
		t.groups = append(t.groups, g)
	}
}

func (t *Turns) find(name string) int {
	return slices.IndexFunc(t.groups, func(g *group) bool { return g.name == name })
}

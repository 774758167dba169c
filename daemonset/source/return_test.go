package source

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/podreload/podreload/testenv"
)

// TestReturnIsNoStorm: the agents of many nodes come back to an etcd that was away one after
// the other, each once, and all have what was put meanwhile.
func TestReturnIsNoStorm(t *testing.T) {
	t.Parallel()
	const (
		agents = 40
		tries  = 6 // of each, in vain: the waits have reached their longest
		moment = 250 * time.Millisecond
		calm   = 8 // calls, that of all checks
	)
	e := testenv.NewEtcd(t)
	put(t, e, "/a/x", "1")
	p := testenv.NewProxy(t, e.Endpoint())
	var (
		mu     sync.Mutex
		vain   int
		served []time.Time
	)
	enough := make(chan struct{})
	p.Watch(func(ok bool) {
		mu.Lock()
		defer mu.Unlock()
		if ok {
			served = append(served, time.Now())
		} else if vain++; vain == agents*tries {
			close(enough)
		}
	})
	var subs []*Subscription
	traffics := make([]*traffic, agents)
	for i := range agents {
		c := openAt(t, p.Endpoint())
		traffics[i] = count(c)
		subs = append(subs, c.Subscribe([]string{"/a"}))
	}
	for _, s := range subs {
		holds(t, s, "/a/x=1")
	}
	p.Cut()
	for _, s := range subs {
		fails(t, s, ErrUnavailable)
	}
	put(t, e, "/a/x", "2")
	select {
	case <-enough:
	case <-time.After(patience):
		t.Fatalf("they have tried %d times in all, want %d", vain, agents*tries)
	}
	mu.Lock()
	served = nil
	mu.Unlock()
	asked := make([]int64, agents)
	for i, n := range traffics {
		asked[i] = n.txns.Load()
	}
	p.Mend()
	for _, s := range subs {
		holds(t, s, "/a/x=2")
	}

	mu.Lock()
	defer mu.Unlock()
	t.Logf("they come back at %s", sinceFirst(served))
	if len(served) != agents {
		t.Errorf("%d connections of %d agents", len(served), agents)
	}
	for i, n := range traffics {
		if calls := n.txns.Load() - asked[i]; calls > calm {
			t.Errorf("agent %d makes %d calls to be current again, want %d at most", i, calls, calm)
		}
	}
	for i, first := range served {
		n, _ := slices.BinarySearchFunc(served[i:], first.Add(moment), time.Time.Compare)
		if n > agents/2 {
			t.Errorf("%d of %d agents come back within %v", n, agents, moment)
			break
		}
	}
}

func sinceFirst(times []time.Time) string {
	var out []string
	for _, at := range times {
		out = append(out, at.Sub(times[0]).Round(time.Millisecond).String())
	}
	return fmt.Sprint(out)
}

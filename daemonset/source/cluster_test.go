package source

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/podreload/podreload/testenv"
)

// members are an etcd of three and two feeds of it, one that watches together
// and one apart.
type members struct {
	*testenv.Cluster
	feeds  []*Subscription
	writes int
}

func newMembers(t *testing.T, v testenv.Version) *members {
	t.Helper()
	m := &members{Cluster: testenv.NewCluster(t, v, 3)}
	for _, waste := range []int{1 << 20, apart} {
		c := open(t, Config{Endpoints: m.Endpoints()})
		c.every, c.waste = time.Hour, waste // the watches alone have to tell
		m.feeds = append(m.feeds, c.Subscribe([]string{"/a", "/b"}))
	}
	m.converges(t, 0)
	return m
}

// converges writes through a member, over and over while there is no leader,
// and waits until the feeds show it.
func (m *members) converges(t *testing.T, through int) {
	t.Helper()
	m.writes++
	value := fmt.Sprint(m.writes)
	deadline := time.Now().Add(patience)
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		_, err := m.Members[through].Put(ctx, "/a/x", value)
		cancel()
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	for _, s := range m.feeds {
		holds(t, s, "/a/x="+value)
	}
}

func (m *members) leader(t *testing.T) int {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		leader, err := m.Leader(t.Context())
		if err == nil {
			return leader
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// TestMembers does to three members what happens to them in production, one
// thing after the other.
func TestMembers(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v testenv.Version) {
		m := newMembers(t, v)
		start := func() {
			t.Helper()
			if err := m.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}

		began := time.Now()
		step := func(format string, args ...any) {
			t.Logf("%5.1fs "+format, append([]any{time.Since(began).Seconds()}, args...)...)
		}
		step("the leader is killed")
		leader := m.leader(t)
		m.Kill(leader)
		m.converges(t, (leader+1)%3)
		start()

		// Whichever of them a feed's watch is on, it is cut off once. It
		// stays reachable and has nothing to say: the watch must end.
		for i := range m.Members {
			step("member %d is cut off", i)
			m.Isolate(i)
			m.converges(t, (i+1)%3)
			m.Heal(i)
			m.converges(t, i)
		}

		step("the quorum is lost")
		lost := m.leader(t)
		m.Kill((lost+1)%3, (lost+2)%3)
		for _, s := range m.feeds {
			fails(t, s, ErrUnavailable)
			if snap, _ := s.Current(); snap == nil || snap.Len() != 1 {
				t.Errorf("the last good snapshot is gone: %s", show(snap))
			}
		}
		start()
		m.converges(t, lost)

		step("all are restarted")
		m.Kill(0, 1, 2)
		for _, s := range m.feeds {
			fails(t, s, ErrUnavailable)
		}
		start()
		m.converges(t, 0)
	})
}

// TestLateMember has endpoints of which one does not answer at all.
func TestLateMember(t *testing.T) {
	t.Parallel()
	e := testenv.NewEtcd(t)
	p := testenv.NewProxy(t, e.Endpoint())
	p.Cut()
	put(t, e, "/a", "1")
	c := open(t, Config{Endpoints: slices.Concat([]string{p.Endpoint()}, []string{e.Endpoint()})})
	s := c.Subscribe([]string{"/a"})
	holds(t, s, "/a=1")
}

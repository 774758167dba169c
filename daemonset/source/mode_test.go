package source

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/podreload/podreload/testenv"
)

// TestNoise has much written between the keys of a feed: it goes apart, so that
// it is not brought, and comes back later.
func TestNoise(t *testing.T) {
	t.Parallel()
	e := testenv.NewEtcd(t)
	c := openAt(t, e.Endpoint())
	c.every = 20 * time.Millisecond
	n := count(c)
	s := c.Subscribe([]string{"/a", "/z"})
	put(t, e, "/a/x", "1")
	holds(t, s, "/a/x=1")
	if w := n.watches.Load(); w != 1 {
		t.Errorf("%d watches, want 1", w)
	}
	noise := strings.Repeat("n", 100_000)
	deadline := time.Now().Add(patience)
	for i := 0; n.watches.Load() < 5; i++ { // /a, /a/…, /z, /z/…
		put(t, e, "/noise", noise)
		if time.Now().After(deadline) {
			t.Fatalf("after %d values that are not its own the feed still watches over them", i)
		}
	}
	put(t, e, "/z", "2")
	holds(t, s, "/a/x=1", "/z=2")
	s.Close()

	f := &feed{client: c, keys: []string{"/a"}}
	f.separate(0)
	if err := f.review(); err != nil || !f.apart {
		t.Errorf("apart ends at once: %v", err)
	}
	f.until = time.Now().Add(-time.Second)
	if err := f.review(); err != errReopen || f.apart {
		t.Errorf("apart does not end: %v", err)
	}
}

// TestStreams has one watch stream, however many feeds there are.
func TestStreams(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v testenv.Version) {
		e := testenv.NewEtcdWith(t, testenv.EtcdConfig{Version: v})
		c := openAt(t, e.Endpoint())
		n := count(c)
		var subs []*Subscription
		for i := range 50 {
			subs = append(subs, c.Subscribe([]string{fmt.Sprintf("/a/%d", i), fmt.Sprintf("/b/%d", i)}))
		}
		for i, s := range subs {
			put(t, e, fmt.Sprintf("/b/%d", i), "1")
			holds(t, s, fmt.Sprintf("/b/%d=1", i))
		}
		if s, w := n.streams.Load(), n.watches.Load(); s != 1 || w != 50 {
			t.Errorf("%d streams with %d watches for 50 feeds, want 1 with 50", s, w)
		}
	})
}

// TestSilence keeps the connection and lets nothing through: no error ends the
// watch, so the check has to find out, and to say it.
func TestSilence(t *testing.T) {
	t.Parallel()
	e := testenv.NewEtcd(t)
	p := testenv.NewProxy(t, e.Endpoint())
	put(t, e, "/a", "1")
	c := openAt(t, p.Endpoint())
	c.every = 50 * time.Millisecond
	s := c.Subscribe([]string{"/a"})
	holds(t, s, "/a=1")
	p.Silence(true)
	put(t, e, "/a", "2")
	began := time.Now()
	if err := fails(t, s, ErrUnavailable); !strings.Contains(err.Error(), "no answer in time") {
		t.Errorf("error %q, want that there is no answer", err)
	}
	t.Logf("said after %v", time.Since(began))
	p.Silence(false)
	holds(t, s, "/a=2")
}

// TestApartCostsNoMoreThanNoise: to be apart is to read all at each change. A little noise drives no feed there
// that holds much, and one that much noise drove there comes back when its reads have cost as much as that did.
func TestApartCostsNoMoreThanNoise(t *testing.T) {
	t.Parallel()
	const keys, size, changes = 20, 100_000, 30
	for name, tt := range map[string]struct{ noise, reads int64 }{
		"little noise": {4, 0},
		"much noise":   {3 * keys, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := testenv.NewEtcd(t)
			for i := range keys {
				put(t, e, fmt.Sprintf("/a/%02d", i), strings.Repeat("v", size))
			}
			put(t, e, "/c/x", "begin")
			c := openAt(t, e.Endpoint())
			c.every = time.Hour // no check reads anything
			n := count(c)
			s := c.Subscribe([]string{"/a", "/c"})
			shows := func(value string) {
				t.Helper()
				until(t, s, "shows "+value, func(s *Snapshot, err error) bool {
					if s == nil || err != nil {
						return false
					}
					x, _ := s.Get("/c/x")
					return x == value
				})
			}
			shows("begin")
			before := n.read.Load()
			for range tt.noise {
				put(t, e, "/b", strings.Repeat("n", size))
			}
			for i := range changes {
				put(t, e, "/c/x", fmt.Sprint(i))
				shows(fmt.Sprint(i))
			}
			if read, most := n.read.Load()-before, tt.reads*keys*size+size; read > most {
				t.Errorf("%d changes of a byte or two: %d bytes are read, want %d at most", changes, read, most)
			}
			if w := n.watches.Load(); tt.reads > 0 && w < 5 {
				t.Errorf("%d watches: it was never apart", w)
			}
		})
	}
}

// TestSteadyNoise has more between its keys before each change than a feed takes and holds, so it turns apart and
// back without end. It does so no more often than its reads take to cost as much as the noise, and no turn is waited
// for as a failure is.
func TestSteadyNoise(t *testing.T) {
	t.Parallel()
	const size, changes = 30_000, 20
	e := testenv.NewEtcd(t)
	c := openAt(t, e.Endpoint())
	put(t, e, "/a", strings.Repeat("v", size))
	f := newFeed(c, []string{"/a", "/c"})
	if err := f.sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	turns := 0
	take := func(key, value string, revision int64) (again bool) {
		t.Helper()
		kv := &mvccpb.KeyValue{Key: []byte(key), Value: []byte(value), ModRevision: revision}
		err := f.take(t.Context(), []*clientv3.Event{{Type: clientv3.EventTypePut, Kv: kv}})
		if err == nil {
			return false
		}
		if err != errReopen {
			t.Fatal(err)
		}
		turns++
		if d := f.delay(err, 0); d > minDelay {
			t.Errorf("turn %d: %v until the watches are opened, want %v at most", turns, d, minDelay)
		}
		return true
	}
	noise := strings.Repeat("n", c.waste+2*size+1_000)
	for i := range changes {
		if !f.apart {
			take("/b", noise, f.state.revision+1)
		}
		value := fmt.Sprint(i)
		for revision := put(t, e, "/c", value); take("/c", value, revision); {
		}
	}
	if most := 2 * (changes/(c.waste/size) + 1); turns < 2 || turns > most {
		t.Errorf("%d turns for %d changes, want 2 to %d", turns, changes, most)
	}
}

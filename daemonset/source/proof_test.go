package source

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/podreload/podreload/testenv"
)

// TestProof has much written that is not the feed's: its watch is proved to live
// without one read.
func TestProof(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v testenv.Version) {
		e := testenv.NewEtcdWith(t, testenv.EtcdConfig{Version: v})
		put(t, e, "/a", "1")
		c := openAt(t, e.Endpoint())
		c.every = 2 * time.Second // in which an answer comes, or a check is due that reads
		n := count(c)
		s := c.Subscribe([]string{"/a"})
		before := holds(t, s, "/a=1")
		writes := 0
		asked := func(want int64) {
			t.Helper()
			testenv.Await(t, func() bool {
				writes++
				put(t, e, "/elsewhere", fmt.Sprint(writes))
				return n.progress.Load() >= want
			})
		}
		asked(1)
		reads := n.txns.Load()
		asked(6)
		if more := n.txns.Load() - reads; more >= 5 {
			t.Errorf("%d reads for 5 proofs", more)
		}
		if after, err := s.Current(); after != before || err != nil {
			t.Errorf("after the proofs: %s, %v", show(after), err)
		}
		put(t, e, "/a", "2")
		holds(t, s, "/a=2")
	})
}

// TestForgottenWatch has a stream that answers for a watch that etcd has forgotten. The
// check that comes all the same has to find out.
func TestForgottenWatch(t *testing.T) {
	t.Parallel()
	e := testenv.NewEtcd(t)
	c := openAt(t, e.Endpoint())
	c.every = 5 * time.Millisecond
	put(t, e, "/a", strings.Repeat("1", small)) // with its key more than is read whole behind a new stream
	f := newFeed(c, []string{"/a"})
	if err := f.sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	head := put(t, e, "/a", "2")
	err := errReopen // what asks opens the client's only stream here
	for err == errReopen {
		f.streams, _ = c.streams.now()
		err = f.follow(t.Context(), answers(t, head))
	}
	if err != errResync {
		t.Errorf("a forgotten watch ends with %v, want %v", err, errResync)
	}
}

// TestAnsweredAhead breaks a stream on which etcd has answered: the watch that clientv3
// resumes may lack an event, so the feed has to open its own.
func TestAnsweredAhead(t *testing.T) {
	t.Parallel()
	e := testenv.NewEtcd(t)
	c := openAt(t, e.Endpoint())
	put(t, e, "/a", "1")
	f := newFeed(c, []string{"/a"})
	if err := f.sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	events := make(chan *batch)
	ended := make(chan error, 1)
	go func() { ended <- f.follow(t.Context(), events) }()
	events <- &batch{progress: f.state.revision}
	c.streams.bump()
	if err := <-ended; err != errReopen {
		t.Errorf("a stream that breaks ends with %v, want %v", err, errReopen)
	}
}

// TestUnanswered drops what asks for progress, as a proxy may. The feed does without, and
// stops asking.
func TestUnanswered(t *testing.T) {
	t.Parallel()
	e := testenv.NewEtcd(t)
	put(t, e, "/a", "1")
	c := openAt(t, e.Endpoint())
	c.every = 20 * time.Millisecond
	n := count(c)
	c.config.DialOptions = append(c.config.DialOptions, ahead(e), grpc.WithChainStreamInterceptor(deaf))
	s := c.Subscribe([]string{"/a"})
	holds(t, s, "/a=1")
	reads := n.txns.Load()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // checks rest in between, for long where one takes long
	defer cancel()
	if err := testenv.Poll(ctx, func() error {
		if more := n.txns.Load() - reads; more < 12 {
			return fmt.Errorf("%d reads", more)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	wantMute(t, n)
	if n.progress.Load() == 0 {
		t.Error("never asked")
	}
	put(t, e, "/a", "2")
	holds(t, s, "/a=2")
}

// answers is what comes of a stream that answers each moment, and never brings an event.
func answers(t *testing.T, revision int64) <-chan *batch {
	out := make(chan *batch)
	go func() {
		for {
			select {
			case out <- &batch{progress: revision}:
				time.Sleep(time.Millisecond)
			case <-t.Context().Done():
				return
			}
		}
	}()
	return out
}

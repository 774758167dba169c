package agent

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/source"
	"github.com/podreload/podreload/daemonset/template"
	"github.com/podreload/podreload/testenv"
)

// TestShare spreads a fleet evenly: each twentieth of the splay has its part of the nodes.
func TestShare(t *testing.T) {
	const nodes, parts, splay = 2000, 20, 30 * time.Second
	var in [parts]int
	moved := 0
	for i := range nodes {
		node := fmt.Sprintf("node-%d", i)
		at := share(node, "web", splay)
		if at < 0 || at >= splay {
			t.Fatalf("%s: %v of %v", node, at, splay)
		}
		if at != share(node, "web", splay) {
			t.Fatalf("%s has no place of its own", node)
		}
		if at != share(node, "api", splay) {
			moved++
		}
		in[at*parts/splay]++
	}
	for i, n := range in {
		if n < nodes/parts*6/10 || n > nodes/parts*14/10 {
			t.Errorf("part %d of %d has %d of %d nodes: %v", i, parts, n, nodes, in)
		}
	}
	if moved < nodes*9/10 {
		t.Errorf("only %d of %d nodes have another place for another profile", moved, nodes)
	}
	if got := share("node", "web", 0); got != 0 {
		t.Errorf("without a splay: %v", got)
	}
}

// TestSplay: changes on the way neither shorten nor lengthen the wait.
func TestSplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		changed := make(chan struct{}, 1)
		go func() {
			for range 3 {
				time.Sleep(2 * time.Second)
				changed <- struct{}{}
			}
		}()
		noted := 0
		began := time.Now()
		if !splay(t.Context(), changed, 7*time.Second, func() { noted++ }) {
			t.Fatal("splay says that the context has ended")
		}
		if took := time.Since(began); took != 7*time.Second || noted != 3 {
			t.Errorf("waited %v, noted %d changes, want 7s and 3", took, noted)
		}
		if !splay(t.Context(), changed, 0, nil) || time.Since(began) != 7*time.Second {
			t.Error("without a share it waits")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if splay(ctx, changed, time.Hour, nil) || time.Since(began) != 8*time.Second {
			t.Error("splay goes on after its context has ended")
		}
	})
}

// TestReturnKeepsToSplay: what was put while etcd could not be reached is held back as any
// change is, while it is shown at once that etcd is back.
func TestReturnKeepsToSplay(t *testing.T) {
	t.Parallel()
	const share = 2 * time.Second
	e := testenv.NewEtcd(t)
	put := func(value string) int64 {
		t.Helper()
		revision, err := e.Put(t.Context(), "/a", value)
		if err != nil {
			t.Fatal(err)
		}
		return revision
	}
	first := put("1")
	p := testenv.NewProxy(t, e.Endpoint())
	client, err := source.Open(source.Config{Endpoints: []string{p.Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	sub := client.Subscribe([]string{"/a"})
	defer sub.Close()
	profile := &template.Profile{Name: "web"}
	told := make(chan daemonset.FeedView, 100)
	var f *feed
	f = newFeed(feedKey{profile: profile}, sub, &template.Bound{Profile: profile}, newKeeper(nil, nil), func(error) { told <- f.view() })
	f.share = share
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { f.run(ctx) })
	defer running.Wait()
	defer cancel()
	next := func(away bool) daemonset.FeedView {
		t.Helper()
		for {
			select {
			case v := <-told:
				if (v.Reason != "") == away {
					return v
				}
			case <-time.After(time.Minute):
				t.Fatalf("it is never told that etcd is away: %v", away)
			}
		}
	}
	if v := next(false); v.Revision != first {
		t.Errorf("it begins with %+v, want revision %d", v, first)
	}
	p.Cut()
	next(true)
	second := put("2")
	back := time.Now()
	p.Mend()
	if v := next(false); v.Revision != first {
		t.Errorf("back is %+v, want revision %d as before", v, first)
	}
	for f.view().Revision != second {
		if time.Since(back) > time.Minute {
			t.Fatalf("it stays at %+v", f.view())
		}
		time.Sleep(10 * time.Millisecond)
	}
	if took := time.Since(back); took < share {
		t.Errorf("what was put is shown after %v, before the node's share of %v", took, share)
	}
}

// TestSplayKeepsQuiet: a change that comes at the end of a splay has its quiet time all the same.
func TestSplayKeepsQuiet(t *testing.T) {
	e := testenv.NewEtcd(t)
	put := func(value string) int64 {
		revision, err := e.Put(t.Context(), "/a/1", value)
		if err != nil {
			t.Fatal(err)
		}
		return revision
	}
	put("1")
	client, err := source.Open(source.Config{Endpoints: []string{e.Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	sub := client.Subscribe([]string{"/a"})
	defer sub.Close()
	profile := &template.Profile{Name: "web", Wait: 500 * time.Millisecond, WaitMax: 10 * time.Second}
	f := newFeed(feedKey{profile: profile}, sub, &template.Bound{Profile: profile}, newKeeper(nil, nil), func(error) {})
	f.share = 2 * time.Second
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { f.run(ctx) })
	defer running.Wait()
	defer cancel()
	shown := func(revision int64) {
		for deadline := time.Now().Add(time.Minute); f.view().Revision < revision; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("nothing is shown")
			}
		}
	}
	shown(1)
	began := time.Now()
	put("2")
	time.Sleep(time.Until(began.Add(profile.Wait + f.share - 200*time.Millisecond))) // just before its end
	at := time.Now()
	shown(put("3"))
	if took := time.Since(at); took < profile.Wait {
		t.Errorf("it is shown after %v, and the quiet time is %v", took, profile.Wait)
	}
}

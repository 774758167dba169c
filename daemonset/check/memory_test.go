package check

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/podreload/podreload/daemonset"
)

func TestMemory(t *testing.T) {
	var m memory
	now := time.Unix(1000, 0)
	k := key{1}
	if _, _, ok := m.find(k, now); ok {
		t.Error("an empty memory knows something")
	}
	m.passed(k, Verdict{Output: "fine", Took: time.Second}, now)
	if v, refusal, ok := m.find(k, now.Add(Remember-1)); !ok || refusal != nil || v != (Verdict{Output: "fine", Took: time.Second, Remembered: true}) {
		t.Errorf("a pass: %+v, %v, %v", v, refusal, ok)
	}
	if _, _, ok := m.find(k, now.Add(Remember)); ok {
		t.Error("a pass stands for good")
	}
	// Refusals stand longer each time, and end with a pass.
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		r := m.refused(k, Refusal{Exit: 1}, now)
		if got := r.RetryAt.Sub(now); got != want*time.Second {
			t.Errorf("a refusal stands for %s, want %s", got, want*time.Second)
		}
		if _, found, ok := m.find(k, r.RetryAt.Add(-1)); !ok || found != r {
			t.Errorf("just before its time: %v, want the same refusal", found)
		}
		if _, _, ok := m.find(k, r.RetryAt); ok {
			t.Error("a refusal stands beyond its time")
		}
		now = r.RetryAt
	}
	m.passed(k, Verdict{}, now)
	if r := m.refused(k, Refusal{}, now); r.RetryAt.Sub(now) != minRetry {
		t.Errorf("the first refusal after a pass stands until %s", r.RetryAt)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	var m memory
	now := time.Unix(1000, 0)
	name := func(i int) key { return key{byte(i), byte(i >> 8)} }
	for i := range maxRemembered {
		m.passed(name(i), Verdict{}, now)
	}
	m.find(name(0), now) // used again: 1 is now the last
	m.passed(name(maxRemembered), Verdict{}, now)
	for i, want := range map[int]bool{0: true, 1: false, 2: true, maxRemembered: true} {
		if _, _, ok := m.find(name(i), now); ok != want {
			t.Errorf("entry %d is kept: %v, want %v", i, ok, want)
		}
	}
	if len(m.entries) != maxRemembered || m.used.Len() != maxRemembered {
		t.Errorf("%d and %d entries, want %d", len(m.entries), m.used.Len(), maxRemembered)
	}
}

// TestFlight: equal trials at once are one, which goes on as long as anybody waits.
func TestFlight(t *testing.T) {
	c := &Checker{}
	c.ctx, c.cancel = context.WithCancel(t.Context())
	defer c.cancel()
	runs, begun, release := 0, make(chan struct{}), make(chan struct{})
	run := func(ctx context.Context) (Verdict, error) {
		runs++
		close(begun)
		select {
		case <-release:
			return Verdict{Output: "one"}, nil
		case <-ctx.Done():
			return Verdict{}, ctx.Err()
		}
	}
	first, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, _, err := c.join(first, key{1}, run)
		left <- err
	}()
	<-begun
	var all sync.WaitGroup
	for range 5 {
		f, own := c.board(key{1}, run)
		if own {
			t.Error("a second flight of the same key")
		}
		all.Go(func() {
			<-f.done
			if f.err != nil || f.verdict.Output != "one" {
				t.Errorf("%+v, %v", f.verdict, f.err)
			}
		})
	}
	leave() // who began it leaves
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who left got %v", err)
	}
	close(release)
	all.Wait()
	c.behind.Wait()
	if runs != 1 || len(c.flights.of) != 0 {
		t.Errorf("%d runs, %d flights left", runs, len(c.flights.of))
	}

	// The last to leave ends it.
	begun, release = make(chan struct{}), make(chan struct{})
	only, leave := context.WithCancel(t.Context())
	go func() {
		<-begun
		leave()
	}()
	if _, own, err := c.join(only, key{2}, run); !own || !errors.Is(err, context.Canceled) {
		t.Errorf("own %v, %v", own, err)
	}
	c.behind.Wait()
	if len(c.flights.of) != 0 {
		t.Error("a flight that nobody waits for goes on")
	}
}

// TestSlowFlight: one that lasts is waited for so long, and then one of those who waited begins another.
func TestSlowFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Checker{}
		c.ctx, c.cancel = context.WithCancel(t.Context())
		hangs := func(ctx context.Context) (Verdict, error) {
			<-ctx.Done()
			return Verdict{}, ctx.Err()
		}
		c.behind.Go(func() { c.join(c.ctx, key{1}, hangs) })
		synctest.Wait()
		var all sync.WaitGroup
		var begun atomic.Int32
		for range 5 {
			all.Go(func() {
				start := time.Now()
				if _, own, err := c.join(t.Context(), key{1}, hangs); own || err != errSlow || time.Since(start) != maxFlight {
					t.Errorf("own %v, %v after %v", own, err, time.Since(start))
				}
				v, own, err := c.join(t.Context(), key{1}, func(context.Context) (Verdict, error) {
					begun.Add(1)
					time.Sleep(time.Second)
					return Verdict{Output: "one"}, nil
				})
				if err != nil || v.Output != "one" {
					t.Errorf("own %v: %+v, %v", own, v, err)
				}
			})
		}
		all.Wait()
		if begun.Load() != 1 {
			t.Errorf("%d others were begun, want one", begun.Load())
		}
		c.cancel()
		c.behind.Wait()
		if len(c.flights.of) != 0 {
			t.Errorf("%d flights left", len(c.flights.of))
		}
	})
}

func TestKey(t *testing.T) {
	base := Trial{Image: "sha256:1", Files: []daemonset.File{{Path: "/a", Data: []byte("b")}}, Commands: []Command{{Args: []string{"nginx", "-t"}}}}
	base.Container.Pod.Namespace = "prod"
	spec := targetSpec
	var seen essences
	of := func(t *testing.T, trial Trial, spec string) key {
		t.Helper()
		e, err := seen.of([]byte(spec))
		if err != nil {
			t.Fatal(err)
		}
		fresh, err := newEssence([]byte(spec))
		if diff := cmp.Diff(fresh, e, cmp.AllowUnexported(essence{})); err != nil || diff != "" {
			t.Fatalf("what is remembered of a spec (-fresh +remembered), %v:\n%s", err, diff)
		}
		return keyOf(trial, e)
	}
	want := of(t, base, spec)
	replace := func(old, new string) string {
		t.Helper()
		if strings.Count(spec, old) != 1 {
			t.Fatalf("%s is not in the spec once", old)
		}
		return strings.Replace(spec, old, new, 1)
	}
	mapped := func(host, size string) string {
		m := `[{"containerID": 0, "hostID": ` + host + `, "size": ` + size + `}]`
		s := replace(`"linux": {`, `"linux": {"uidMappings": `+m+`, "gidMappings": `+m+`,`)
		return strings.Replace(s, `"source": "proc"`, `"source": "proc", "uidMappings": `+m+`, "gidMappings": `+m, 1)
	}
	if a, b, c := of(t, base, mapped("65536", "65536")), of(t, base, mapped("131072", "65536")), of(t, base, mapped("65536", "1")); a != b || a == c || a == want {
		t.Error("replicas with user namespaces differ by what is in these, and not by where that is on the node")
	}
	for name, tt := range map[string]struct {
		change func(*Trial)
		spec   string
		same   bool
	}{
		"itself":               {same: true},
		"another host":         {spec: replace(`"HOSTNAME=web-0"`, `"HOSTNAME=web-1"`), same: true},
		"another cgroup":       {spec: replace("/kubepods/pod1/0123", "/kubepods/pod2/4567"), same: true},
		"another sandbox":      {spec: replace(`"/proc/7/ns/net"`, `"/proc/8/ns/net"`), same: true},
		"another source":       {spec: replace(`"source": "proc"`, `"source": "/pods/2"`), same: true},
		"another level":        {spec: replace("s0:c1,c2", "s0:c3,c4"), same: true},
		"another variable":     {spec: replace(`"A=b"`, `"A=c"`)},
		"another user":         {spec: replace(`"uid": 101`, `"uid": 100`)},
		"another limit":        {spec: replace(`"limit": 1000`, `"limit": 2000`)},
		"another mount":        {spec: replace(`"destination": "/proc"`, `"destination": "/data"`)},
		"host network":         {spec: replace(`{"type": "network", "path": "/proc/7/ns/net"},`, "")},
		"another image":        {change: func(t *Trial) { t.Image = "sha256:2" }},
		"another file":         {change: func(t *Trial) { t.Files = []daemonset.File{{Path: "/a", Data: []byte("c")}} }},
		"another command":      {change: func(t *Trial) { t.Commands = []Command{{Args: []string{"nginx -t"}}} }},
		"another namespace":    {change: func(t *Trial) { t.Container.Pod.Namespace = "test" }},
		"a command's variable": {change: func(t *Trial) { t.Commands = []Command{{Args: []string{"nginx", "-t"}, Env: []string{"A=b"}}} }},
		"another resource":     {change: func(t *Trial) { t.Commands = []Command{{Args: []string{"nginx", "-t"}, Resource: "x"}} }, same: true},
	} {
		t.Run(name, func(t *testing.T) {
			trial, s := base, spec
			if tt.change != nil {
				tt.change(&trial)
			}
			if tt.spec != "" {
				s = tt.spec
			}
			if same := of(t, trial, s) == want; same != tt.same {
				t.Errorf("equal: %v, want %v", same, tt.same)
			}
		})
	}
}

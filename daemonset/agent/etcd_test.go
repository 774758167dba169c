package agent_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/testenv"
)

// TestEtcdComesAndGoes takes one target through all that an etcd can do.
func TestEtcdComesAndGoes(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.etcd = testenv.NewEtcd(t)
	first := r.put("first")
	r.etcd.Stop()
	p := r.pod(testenv.PodConfig{})
	c := p.Container("nginx")
	start := func() {
		t.Helper()
		if err := r.etcd.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}

	// Down at the start.
	r.start()
	r.in(c, daemonset.Waiting, "waiting for etcd at "+r.etcd.Endpoint())
	serves(t, p, "hello from the image\n")
	start()
	live := r.live(c, first)
	serves(t, p, "first")

	// Away and back, nothing changed.
	r.etcd.Stop()
	r.in(c, daemonset.Stale, "files of revision", "waiting for etcd")
	start()
	if s := r.live(c, first); s.Reloads != live.Reloads {
		t.Errorf("%d reloads after etcd's return, want %d: nothing changed", s.Reloads, live.Reloads)
	}

	// Back from a backup: the revision goes back, and so does the value.
	backup := filepath.Join(t.TempDir(), "backup")
	if err := r.etcd.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		first = r.put(fmt.Sprint("after the backup ", i))
	}
	r.live(c, first)
	serves(t, p, "after the backup 4")
	if err := r.etcd.Restore(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	serves(t, p, "first")
	s := r.await(c, "the older revision is live", func(s daemonset.Status) bool {
		return s.State == daemonset.Live && s.Revision < first
	})
	revision := r.put("third")
	if revision > first {
		t.Fatalf("revision %d after the restore, %d before: the test shows nothing", revision, first)
	}
	r.await(c, "a new value is live", func(now daemonset.Status) bool {
		return now.State == daemonset.Live && now.Reloads > s.Reloads
	})
	serves(t, p, "third")
}

// TestBurst: the last of many values is served, and most of the others never.
func TestBurst(t *testing.T) {
	t.Parallel()
	const puts = 200
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	p := r.pod(testenv.PodConfig{})
	c := p.Container("nginx")
	r.applier.Timeout = time.Hour
	r.start()
	before := r.live(c, r.put("0"))
	// The reload of the first takes as long as all others: those meanwhile are one.
	master := nginxOf(t, c).master
	resume := stopped(t, master)
	last := r.put("1")
	pending(t, master, unix.SIGHUP)
	for i := 2; i < puts; i++ {
		last = r.put(fmt.Sprint(i))
	}
	resume()
	after := r.live(c, last)
	serves(t, p, fmt.Sprint(puts-1))
	if n := after.Reloads - before.Reloads; n < 2 || n > 3 { // the last may not have come from etcd yet
		t.Errorf("%d reloads for %d puts", n, puts)
	}
}

// TestWait: a profile with a quiet period reloads once for many changes, while
// one without follows each, and no resync applies what has not settled.
func TestWait(t *testing.T) {
	t.Parallel()
	const puts = 10
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.resync = 50 * time.Millisecond
	quiet := r.name + "-quiet"
	r.profile(quiet, `process = "nginx"`, `wait = "2s:1m"`)
	p, q := r.pod(testenv.PodConfig{}), r.pod(testenv.PodConfig{
		Name: quiet, Labels: map[string]string{"podreload.io/profile": quiet},
	})
	r.start()
	r.live(q.Container("nginx"), r.putKey("/"+quiet+"/value", "first")) // which waits for nothing
	var last int64
	most, begun := 1, time.Now()
	put := begun
	for i := range puts {
		last = r.putKey("/"+quiet+"/value", fmt.Sprint(i))
		if time.Since(put) > time.Second { // on its way to the agent it may become two
			most++
		}
		put = time.Now()
		r.live(p.Container("nginx"), r.put(fmt.Sprint(i)))
	}
	most += int(time.Since(begun) / time.Minute)
	s := r.live(q.Container("nginx"), last)
	serves(t, q, fmt.Sprint(puts-1))
	if n := s.Reloads - 1; n < 1 || n > most {
		t.Errorf("%d reloads for %d puts, want up to %d: one, and one for each pause of the machine", n, puts, most)
	}
}

// TestRestartIsNoOutage: a new agent that has not heard of etcd yet does not say that what is live
// was old.
func TestRestartIsNoOutage(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	c := r.pod(testenv.PodConfig{}).Container("nginx")
	r.start()
	live := r.live(c, r.put("first"))
	r.stop()
	r.start()
	if s := r.live(c, r.put("second")); s.Reloads != live.Reloads+1 {
		t.Errorf("%d reloads, want one more than %d", s.Reloads, live.Reloads)
	}
	r.stop()
	if lines := r.said.lines("Stale"); len(lines) > 0 {
		t.Errorf("it said %q", lines)
	}
}

package agent_test

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/agent"
	"github.com/podreload/podreload/daemonset/check"
	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/testenv"
)

// TestDrift: what changes inside is set right at the next resync.
func TestDrift(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.resync = 200 * time.Millisecond
	p := r.pod(testenv.PodConfig{})
	c := p.Container("nginx")
	r.start()
	s := r.live(c, r.put("right"))
	for i, damage := range []string{
		`sed -i 's/"right"/"wrong"/' /etc/nginx/conf.d/default.conf`,
		"rm /etc/nginx/conf.d/default.conf",
		"chmod 600 /etc/nginx/conf.d/default.conf; echo '# more' >>/etc/nginx/conf.d/default.conf",
	} {
		exec(t, c, damage)
		r.await(c, "the file is repaired", func(now daemonset.Status) bool {
			return now.State == daemonset.Live && now.Reloads == s.Reloads+i+1
		})
		if got := exec(t, c, "cat /etc/nginx/conf.d/default.conf"); !strings.Contains(got, `"right"`) || strings.Contains(got, "more") {
			t.Errorf("after %s the file is %q", damage, got)
		}
	}
	serves(t, p, "right")
}

// TestDriftBesideChanges: a key that changes all the time, of no concern to the
// files, does not keep drift from being found.
func TestDriftBesideChanges(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.resync = time.Second
	c := r.pod(testenv.PodConfig{}).Container("nginx")
	r.start()
	s := r.live(c, r.put("right"))
	exec(t, c, "rm /etc/nginx/conf.d/default.conf")
	r.await(c, "the file is repaired", func(now daemonset.Status) bool {
		r.putKey(r.key("value/counter"), time.Now().String())
		return now.Reloads == s.Reloads+1
	})
}

// hurried is a checker whose first check takes too long.
type hurried struct {
	agent.Checker
	checks atomic.Int32
}

func (h *hurried) Check(ctx context.Context, trial check.Trial) (check.Verdict, error) {
	if h.checks.Add(1) == 1 {
		return check.Verdict{}, fmt.Errorf("a test says so: %w", check.ErrDeadline)
	}
	return h.Checker.Check(ctx, trial)
}

// TestDriftRepairFails: what was found and could not be set right at once is no less wrong
// at the next try, though the keys are those of before.
func TestDriftRepairFails(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.profile(r.name, `process = "nginx"`, `check = "preset"`)
	c := r.pod(testenv.PodConfig{}).Container("nginx")
	r.start()
	s := r.live(c, r.put("right"))
	r.stop()
	exec(t, c, "rm /etc/nginx/conf.d/default.conf")
	r.applier.Checker = &hurried{Checker: r.applier.Checker}
	r.start()
	r.await(c, "the file is repaired", func(now daemonset.Status) bool {
		return now.State == daemonset.Live && now.Reloads == s.Reloads+1
	})
}

// TestNothingChanged counts the shims that are started, and the files that are
// opened, where nothing is to be done. It is alone in the process: others would
// count too.
func TestNothingChanged(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which would close what is forgotten
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	other := r.name + "-other"
	r.profile(other, `process = "nginx"`)
	c := r.pod(testenv.PodConfig{}).Container("nginx")
	barrier := r.pod(testenv.PodConfig{Name: other, Labels: map[string]string{"podreload.io/profile": other}}).Container("nginx")
	idle := children(t)
	r.start()
	first := r.live(c, r.put("same"))
	r.live(barrier, r.putKey("/"+other+"/value", "1"))
	before, files := nginxOf(t, c), openFiles(t)

	// A key of another prefix does not even wake the target.
	shims := crossings(t, idle)
	elsewhere := r.putKey("/"+other+"/value", "2")
	r.live(barrier, elsewhere)
	if n := r.live(c, 0); !n.Updated.Equal(first.Updated) {
		t.Errorf("the target was touched: %+v, before %+v", n, first)
	}
	if n := crossings(t, idle); n == shims {
		t.Error("a crossing does not count: the test shows nothing")
	}

	// A key of the prefix that the files do not show: rendered, nothing entered.
	shims = crossings(t, idle)
	s := r.live(c, r.putKey(r.key("value/unused"), "x"))
	if n := crossings(t, idle); n != shims {
		t.Error("the container was entered though its files are the same")
	}
	if s.Reloads != first.Reloads {
		t.Errorf("%d reloads, want %d", s.Reloads, first.Reloads)
	}
	wantUntouched(t, c, before)

	for range 20 {
		r.live(c, r.put(time.Now().String()))
	}
	r.live(c, r.put("same"))
	// The record is there before the apply has put its handles away.
	eventually(t, "every handle is put away", func() error {
		if n := openFiles(t); n > files {
			return fmt.Errorf("%d files are open, %d before 21 applies", n, files)
		}
		return nil
	})
}

// crossings grows with every process of ours that has ended: the page faults of
// waited-for children (getrusage(2)). The nodes' containerds and their shims, which come
// to a child subreaper, are the idle ones and do not end; what else there is are ours.
func crossings(t *testing.T, idle int) int64 {
	t.Helper()
	eventually(t, "the shims have ended", func() error {
		if n := children(t); n != idle {
			return fmt.Errorf("%d children", n)
		}
		return nil
	})
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_CHILDREN, &u); err != nil {
		t.Fatal(err)
	}
	return u.Minflt
}

func children(t *testing.T) int {
	t.Helper()
	pids, err := nsenter.Children(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	return len(pids)
}

func openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

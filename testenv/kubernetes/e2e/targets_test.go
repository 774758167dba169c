package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/testenv"
)

var targets = flag.Int("targets", 0, "measure an agent with that many `PODS` to look after; the kubelet takes 110 in all")

// TestTargets measures, on a node full of pods, an agent at rest, a change of a key, and an agent that
// starts and finds all of them out of date. It prints what it saw: how fast this machine is, is no
// matter of right and wrong.
func TestTargets(t *testing.T) {
	if *targets == 0 {
		t.Skip("-targets=100 runs it")
	}
	r := newRig(t, testenv.V2)
	r.put("one")
	r.install()
	r.deploy("web", "", "")
	begun := time.Now()
	r.kubectl("scale", "deployment/web", fmt.Sprintf("--replicas=%d", *targets))
	ctx, cancel := context.WithTimeout(t.Context(), 4*startTimeout)
	defer cancel()
	if _, err := r.Kubectl(ctx, "rollout", "status", "deployment/web", "--timeout", (4 * startTimeout).String()); err != nil {
		t.Fatal(err)
	}
	r.are(*targets, daemonset.Live)
	t.Logf("%d pods after %v", *targets, since(begun))

	const rest = time.Minute
	before := r.daemonTime()
	time.Sleep(rest) // nothing happens is what is measured
	t.Logf("at rest, in %v: %v of CPU; %s", rest, r.daemonTime()-before, r.memory())

	ips := strings.Fields(r.kubectl("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].status.podIP}"))
	begun = time.Now()
	r.put("two")
	for _, ip := range ips {
		r.served(ip, "two")
	}
	t.Logf("a key has changed in all of them after %v", since(begun))

	r.kubectl("-n", "podreload", "delete", "pod", "-l", "app.kubernetes.io/name=podreload", "--wait=false")
	if err := testenv.Poll(ctx, func() error {
		if r.daemon() != "" {
			return errors.New("the agent runs still")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	gone := time.Now()
	r.put("three")
	if err := testenv.Poll(ctx, func() error {
		if r.daemon() == "" {
			return errors.New("no agent runs")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	begun = time.Now()
	for _, ip := range ips {
		r.served(ip, "three")
	}
	t.Logf("after %v without an agent a new one, and what had changed meanwhile was in all of them %v later", begun.Sub(gone).Round(time.Millisecond), since(begun))
	r.are(*targets, daemonset.Live)
	t.Logf("after that: %s", r.memory())
}

func since(t time.Time) time.Duration { return time.Since(t).Round(time.Millisecond) }

// daemon is the agent's folder in /proc, if it runs.
func (r *rig) daemon() string {
	for pid, line := range r.processes() {
		if isDaemon(line) {
			return filepath.Join("/proc", strconv.Itoa(pid))
		}
	}
	return ""
}

// daemonTime is how long the agent's process has had a CPU.
func (r *rig) daemonTime() time.Duration {
	r.t.Helper()
	text, err := os.ReadFile(filepath.Join(r.daemon(), "stat"))
	if err != nil {
		r.t.Fatal(err)
	}
	// Its name may have spaces; of what is behind it, utime and stime are 12th and 13th, see proc_pid_stat(5).
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			r.t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100 // USER_HZ
}

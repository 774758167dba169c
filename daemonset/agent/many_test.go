package agent_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/testenv"
)

// TestManyTargets applies to more containers at once than there may be shims.
// Most of them hang until they are given up on; the others must not pay for it.
func TestManyTargets(t *testing.T) {
	t.Parallel()
	const targets, stuck = 42, 36
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.applier.Timeout = 2 * time.Second
	r.resource(r.name, "dest = \"/etc/nginx/conf.d/default.conf\"\nreload_signal = \"HUP\"")
	cfg := testenv.PodConfig{Labels: map[string]string{}}
	for i := range targets {
		name := fmt.Sprintf("c%d", i)
		cfg.Labels[name+".podreload.io/profile"] = r.name
		cfg.Containers = append(cfg.Containers, testenv.ContainerConfig{
			Name: name, Command: []string{"sh", "-c", "trap : HUP; while :; do sleep 1000000 & wait; done"},
		})
	}
	p := r.pod(cfg)
	applied := func(containers []testenv.ContainerConfig, revision int64) {
		t.Helper()
		for _, c := range containers {
			r.applied(p.Container(c.Name), revision)
		}
	}
	for _, c := range cfg.Containers { // else it is Failed, and warned of, until it does
		catches(t, p.Container(c.Name), unix.SIGHUP)
	}
	revision := r.put("one")
	r.start()
	applied(cfg.Containers, revision)

	var release []func()
	for _, c := range cfg.Containers[:stuck] {
		release = append(release, mountDead(t, p.Container(c.Name), "/etc/nginx/conf.d"))
	}
	revision = r.put("two")
	applied(cfg.Containers[stuck:], revision)
	for _, c := range cfg.Containers[:stuck] {
		r.in(p.Container(c.Name), daemonset.Failed, "deadline")
	}
	for _, c := range cfg.Containers[stuck:] {
		if said := r.said.lines("level=warning", "container="+c.Name+" "); len(said) != 0 {
			t.Errorf("%s paid for the others: %s", c.Name, strings.Join(said, ""))
		}
	}
	for _, f := range release {
		f()
	}
	applied(cfg.Containers, revision)
}

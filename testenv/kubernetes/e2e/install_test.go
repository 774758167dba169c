package e2e

import (
	"testing"

	"github.com/podreload/podreload/testenv"
)

// TestInstall is a cluster's life with podreload: installed, used, upgraded under load, removed.
func TestInstall(t *testing.T) {
	for _, v := range []testenv.Version{testenv.V2, testenv.Debian} {
		t.Run(string(v), func(t *testing.T) {
			r := newRig(t, v)
			r.put("one")
			r.install()
			r.deploy("web", "", "")
			ip := r.podIP("web")
			r.served(ip, "one")
			r.put("two")
			r.served(ip, "two")

			stop := r.load(ip)
			r.setTag("e2e-1", "e2e-2")
			r.kubectl("apply", "-k", r.overlay)
			r.put("three") // while there is maybe no agent
			r.rolledOut("podreload", "daemonset/podreload")
			r.served(ip, "three")
			r.put("four")
			r.served(ip, "four")
			t.Logf("%d requests while the agent was replaced", stop())

			stop = r.load(ip)
			r.kubectl("delete", "-k", r.overlay, "--wait", "--timeout", waitTimeout.String())
			r.served(ip, "four")
			t.Logf("%d requests while it was removed", stop())
			r.nothingLeft("web")
		})
	}
}

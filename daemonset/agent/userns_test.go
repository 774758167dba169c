package agent_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/testenv"
)

// TestUserNamespace: a pod with a user namespace of its own is written to,
// checked and signalled as any other, and its files belong to whom they should.
func TestUserNamespace(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	if err := os.Chmod(filepath.Dir(r.dir), 0o711); err != nil { // as /run is
		t.Fatal(err)
	}
	r.resource(r.name, "uid = 101\nmode = \"0640\"\n"+`dest = "`+conf+`"`, `process = "nginx"`, `check = "preset"`)
	p := r.pod(testenv.PodConfig{UserNS: true})
	c := p.Container("nginx")
	r.start()
	r.live(c, r.put("mapped"))
	serves(t, p, "mapped")
	if got := exec(t, c, "stat -c '%u %g %a' "+conf); got != "101 0 640" {
		t.Errorf("owner and mode inside are %s, want 101 0 640", got)
	}
	r.put(bad)
	r.in(c, daemonset.Refused, "no_such_directive")
	revision := r.put("mapped again")
	r.live(c, revision)
	serves(t, p, "mapped again")
}

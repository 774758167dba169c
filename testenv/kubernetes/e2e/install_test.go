package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podreload/podreload/testenv"
)

// TestInstall is a cluster's life with podreload: installed, used, upgraded under load, removed.
func TestInstall(t *testing.T) {
	for _, v := range []testenv.Version{testenv.V2, testenv.Debian} {
		t.Run(string(v), func(t *testing.T) {
			r := newRig(t, v)
			r.testImageSize()
			r.put("one")
			r.install()
			r.deploy("web", "", "")
			ip := r.podIP("web")
			r.served(ip, "one")
			r.put("two")
			r.served(ip, "two")

			if len(r.processes()) == 0 {
				t.Error("no process of podreload's is seen while it runs: what is left would not be seen either")
			}
			stop, absent := r.load(ip), r.absence()
			r.setTag("e2e-1", "e2e-2")
			r.kubectl("apply", "-k", r.overlay)
			r.put("three") // while there is maybe no agent
			r.rolledOut("podreload", "daemonset/podreload")
			r.served(ip, "three")
			t.Logf("the node was without an agent for %v", absent())
			r.put("four")
			r.served(ip, "four")
			t.Logf("%d requests while the agent was replaced", stop())
			if out, err := r.podreload(t.Context(), "--version"); err != nil || !strings.Contains(out, "e2e-2") {
				t.Errorf("podreload --version: %q, %v, want e2e-2", out, err)
			}

			stop = r.load(ip)
			r.kubectl("delete", "-k", r.overlay, "--wait", "--timeout", waitTimeout.String())
			r.served(ip, "four")
			t.Logf("%d requests while it was removed", stop())
			r.nothingLeft("web")
		})
	}
}

// testImageSize holds the image to what daemonset/README.md promises, uncompressed.
func (r *rig) testImageSize() {
	root, err := testenv.Repository()
	if err != nil {
		r.t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(root, *images, "e2e-1.tar"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Logf("the image has %.1f MB", float64(info.Size())/1e6)
	if info.Size() > 30e6 {
		r.t.Error("the image has more than 30 MB")
	}
}

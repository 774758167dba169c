package soak

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/podreload/podreload/daemonset/state"
	"github.com/podreload/podreload/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// patience bounds every wait for something that is to happen.
const patience = 2 * time.Minute

// rig is a node, an etcd and a daemon, each a process of its own: what the daemon holds is its own.
type rig struct {
	t       *testing.T
	dir     string
	node    *testenv.Node
	etcd    *testenv.Etcd
	store   *state.Store // the daemon's, to read its records
	pid     int          // the daemon's
	metrics string       // where it tells of itself
}

var listens = regexp.MustCompile(`listen="?([0-9.]+:[0-9]+)`)

func newRig(t *testing.T, conf map[string]string) *rig {
	t.Helper()
	testenv.Shim(t) // which has to lie beside podreload
	binary := testenv.Binary(t, "podreload")
	r := &rig{t: t, dir: t.TempDir(), node: testenv.NewNode(t, testenv.V2), etcd: testenv.NewEtcdWith(t, testenv.EtcdConfig{Version: testenv.Debian})}
	r.must(testenv.WriteTree(r.path("etc"), conf))
	var err error
	r.store, err = state.Open(r.path("run"), r.path("kept"))
	r.must(err)
	t.Cleanup(func() { r.must(r.store.Close()) })
	log, err := os.Create(r.path("daemon.log"))
	r.must(err)
	cmd := exec.Command(binary, "--runtime-endpoint", "unix://"+r.node.Socket(), "--nri-socket", r.node.NRISocket(), "--endpoints", r.etcd.Endpoint(),
		"--confdir", r.path("etc"), "--state", r.path("run"), "--root", r.path("kept"), "daemon", "--listen", "127.0.0.1:0")
	cmd.Stderr = log
	exited, err := testenv.Start(cmd)
	r.must(err)
	t.Cleanup(func() {
		if err := testenv.Stop(cmd, exited, patience); err != nil {
			t.Error(err)
		}
		log.Close()
		if t.Failed() {
			t.Logf("the daemon's last words:\n%s", r.words())
		}
	})
	r.pid = cmd.Process.Pid
	r.await("the daemon serves its metrics", func() error {
		m := listens.FindSubmatch(r.words())
		if m == nil {
			return fmt.Errorf("it says %q", r.words())
		}
		r.metrics = "http://" + string(m[1]) + "/metrics"
		return nil
	})
	return r
}

func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// words is the end of the daemon's log.
func (r *rig) words() []byte {
	text, err := os.ReadFile(r.path("daemon.log"))
	r.must(err)
	return text[max(0, len(text)-16<<10):]
}

// await waits until try returns nil.
func (r *rig) await(what string, try func() error) {
	r.t.Helper()
	if err := until(r.t.Context(), try); err != nil {
		r.t.Fatalf("waited in vain until %s: %v", what, err)
	}
}

func until(ctx context.Context, try func() error) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		case <-late:
			return err
		}
	}
}

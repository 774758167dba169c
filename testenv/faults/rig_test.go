package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/state"
	"github.com/podreload/podreload/testenv"
)

// patience bounds every wait for something that is to happen.
const patience = time.Minute

// rig is everything that runs.
type rig struct {
	t       *testing.T
	dir     string
	events  *events
	node    *testenv.Node
	etcd    *etcd
	store   *state.Store // the daemon's, to read its records
	binary  string
	log     *os.File // the daemon's
	daemon  *process
	targets []*target
	writer  *writer
	readers []*reader
	rng     *rand.Rand // of the rounds
	inside  int        // shims that were killed inside a container
}

func newRig(t *testing.T, version testenv.Version, seed uint64) *rig {
	t.Helper()
	testenv.Shim(t) // which has to lie beside podreload
	r := &rig{
		t: t, dir: t.TempDir(), events: &events{begun: time.Now()}, targets: newTargets(),
		binary: testenv.Binary(t, "podreload"), rng: rand.New(rand.NewPCG(seed, 1)),
	}
	adopt(t)
	// What a killed agent has left mounted must not keep the folder from going; that it is wrong is said elsewhere.
	t.Cleanup(func() { r.unmount() })
	r.node = testenv.NewNode(t, version)
	r.must(testenv.WriteTree(r.path("etc"), conf()))
	var err error
	r.store, err = state.Open(r.path("run"), r.path("kept"))
	r.must(err)
	t.Cleanup(func() { r.must(r.store.Close()) })
	r.etcd, err = startEtcd(t.Context(), r.path("etcd"))
	r.must(err)
	t.Cleanup(func() { r.must(r.etcd.close()) })
	r.log, err = os.Create(r.path("daemon.log"))
	r.must(err)
	t.Cleanup(func() { r.must(r.log.Close()) })
	for _, target := range r.targets {
		dir := r.path(target.name)
		r.must(os.Mkdir(dir, 0o755))
		r.must(target.run(t.Context(), r.node, dir))
		target.mounts = r.mountsOf(target)
	}
	r.writer = newWriter(r.etcd.client, r.events)
	return r
}

func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// conf is a profile that checks and one that does not, each of two files.
func conf() map[string]string {
	files := map[string]string{
		"templates/first.tmpl":  `{{getv "/first"}}`,
		"templates/second.tmpl": `{{getv "/second"}}`,
	}
	for profile, check := range map[string]string{"checked": "preset", "unchecked": "off"} {
		for name, path := range map[string]string{"first": firstPath, "second": secondPath} {
			files["conf.d/"+profile+"/"+name+".toml"] = fmt.Sprintf("[template]\nsrc = %q\ndest = %q\nprefix = \"/faults\"\nkeys = [%q]\n"+
				"[profile]\nprocess = \"nginx\"\ncheck = %q\n", name+".tmpl", path, "/"+name, check)
		}
	}
	return files
}

// startDaemon starts the agent, the real program.
func (r *rig) startDaemon() error {
	cmd := exec.CommandContext(r.t.Context(), r.binary, "--runtime-endpoint", "unix://"+r.node.Socket(), "--nri-socket", r.node.NRISocket(),
		"--endpoints", r.etcd.endpoint, "--confdir", r.path("etc"), "--state", r.path("run"), "--root", r.path("kept"), "daemon")
	cmd.Stderr = r.log
	var err error
	r.daemon, err = startProcess(cmd)
	return err
}

// start runs what works on the targets beside the rounds, until the context ends.
func (r *rig) start(ctx context.Context, runs ...func(context.Context)) (wait func()) {
	var group sync.WaitGroup
	for _, run := range runs {
		group.Go(func() { run(ctx) })
	}
	return group.Wait
}

// users are the clients and readers of all targets.
func (r *rig) users() (runs []func(context.Context)) {
	for _, t := range r.targets {
		reader := newReader(t, r.writer, r.events)
		r.readers = append(r.readers, reader)
		runs = append(append(runs, reader.run), r.clients(t)...)
	}
	return runs
}

// clients are those of one target.
func (r *rig) clients(t *target) (runs []func(context.Context)) {
	for i := range clientsPerTarget + 1 {
		runs = append(runs, (&client{target: t, writer: r.writer, events: r.events, keep: i == 0}).run)
	}
	return runs
}

// await waits until try returns nil.
func (r *rig) await(what string, try func() error) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-late:
			return fmt.Errorf("waited in vain until %s: %w", what, err)
		}
	}
}

// live waits until every target is Live with a put or a newer one, and serves it.
func (r *rig) live(p put) error {
	for _, t := range r.targets {
		if err := r.await(fmt.Sprintf("%s is Live at revision %d", t.name, p.revision), func() error {
			c, _ := t.now()
			rec, err := r.store.Load(c.ID)
			if err != nil {
				return errors.Join(err, r.daemon.ended())
			}
			t.recorded(rec.Status)
			if rec.State != daemonset.Live || rec.Owed || rec.Revision < p.revision {
				return errors.Join(fmt.Errorf("it is %s at revision %d, owed %v: %s", rec.State, rec.Revision, rec.Owed, rec.Reason), r.daemon.ended())
			}
			return nil
		}); err != nil {
			return err
		}
		// What is Live is served, at once.
		var n int
		answer, err := t.pod.Get(r.t.Context(), 80, "/")
		if err != nil {
			return fmt.Errorf("%s is Live but does not serve: %w", t.name, err)
		}
		if _, err := fmt.Sscanf(answer, "%d", &n); err != nil || n < p.number {
			return fmt.Errorf("%s is Live with number %d or newer but serves %q", t.name, p.number, answer)
		}
	}
	return nil
}

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/podreload/podreload/testenv"
)

// stepTimeout bounds each step of a script that waits for something.
const stepTimeout = 30 * time.Second

// TestScripts runs the scripts that need no node, all at once.
func TestScripts(t *testing.T) {
	bin := binaries(t)
	testscript.Run(t, testscript.Params{
		Dir:   "testdata/script",
		Setup: func(env *testscript.Env) error { return setup(env, &scene{}, bin) },
		Cmds:  commands(),
	})
}

// TestNodeScripts runs the scripts that need containerd and etcd, one after the
// other on one node: each sees its own pods only, so that it can use --all.
func TestNodeScripts(t *testing.T) {
	node := testenv.NewNode(t, testenv.Debian)
	bin := binaries(t)
	testscript.RunT(inTurn{t}, testscript.Params{
		Dir: "testdata/node",
		Setup: func(env *testscript.Env) error {
			s := &scene{node: node, pods: map[string]*testenv.Pod{}}
			env.Defer(s.close)
			ctx, cancel := context.WithTimeout(context.Background(), stepTimeout)
			defer cancel()
			var err error
			if s.etcd, err = testenv.StartEtcd(ctx, filepath.Join(env.WorkDir, "etcd")); err != nil {
				return err
			}
			env.Setenv("CONTAINER_RUNTIME_ENDPOINT", "unix://"+node.Socket())
			env.Setenv("ETCDCTL_ENDPOINTS", s.etcd.Endpoint())
			if err := freeAddress(env); err != nil {
				return err
			}
			return setup(env, s, bin)
		},
		Cmds: commands(),
	})
}

// freeAddress sets $LISTEN to an address for a daemon to serve at, held until the script ends.
func freeAddress(env *testscript.Env) error {
	p, err := testenv.HoldPorts(1)
	if err != nil {
		return err
	}
	env.Defer(p.Release)
	env.Setenv("LISTEN", p.Addrs[0])
	return nil
}

// binaries builds the commands and returns the folder that they lie in.
func binaries(t *testing.T) string {
	testenv.Needs(t)
	testenv.Binary(t, "podreload-shim")
	return filepath.Dir(testenv.Binary(t, "podreload"))
}

// setup gives a script podreload in its PATH, a settings file, and a confdir
// with the profile web, unless it brings its own.
func setup(env *testscript.Env, s *scene, bin string) error {
	s.state, s.root = filepath.Join(env.WorkDir, "run"), filepath.Join(env.WorkDir, "kept")
	env.Values[sceneKey{}] = s
	env.Setenv("PATH", bin+":"+env.Getenv("PATH"))
	settings, confdir := filepath.Join(env.WorkDir, "podreload.toml"), filepath.Join(env.WorkDir, "etc")
	env.Setenv("PODRELOAD_CONFIG", settings)
	if _, err := os.Stat(settings); err != nil {
		nri := "" // never the machine's own
		if s.node != nil {
			nri = s.node.NRISocket()
		}
		text := fmt.Sprintf("confdir = %q\nstate = %q\nroot = %q\nnri-socket = %q\n", confdir, s.state, s.root, nri)
		if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
			return err
		}
	}
	if _, err := os.Stat(confdir); err == nil {
		return nil
	}
	return testenv.WriteTree(confdir, testenv.ExperimentConf())
}

// inTurn runs scripts one after the other.
type inTurn struct{ *testing.T }

func (t inTurn) Parallel()     {}
func (t inTurn) Verbose() bool { return testing.Verbose() }
func (t inTurn) Run(name string, f func(testscript.T)) {
	t.T.Run(name, func(t *testing.T) { f(inTurn{t}) })
}

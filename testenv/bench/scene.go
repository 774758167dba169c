package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/testenv"
)

// targets is how many containers the daemon looks after.
const targets = 20

// scene is all that is measured on: on one node, with Debian's containerd, a
// receiver for the crossing and its rivals, and a daemon with its targets; on
// another, with containerd 2, a receiver for its Task.Exec.
type scene struct {
	dir    string
	node   *testenv.Node
	etcd   *testenv.Etcd
	daemon *daemon
	rest   memory // the daemon's, before it had work
	before phases // the daemon's, then
	ways   []*way

	closers []io.Closer
}

type closer func() error

func (f closer) Close() error { return f() }

// openNode starts the first node, and etcd.
func (s *scene) openNode(ctx context.Context) (err error) {
	if s.dir, err = os.MkdirTemp("", "podreload-bench-"); err != nil {
		return err
	}
	s.later(closer(func() error { return os.RemoveAll(s.dir) }))
	progress("starting containerd and etcd")
	if s.node, err = s.startNode(ctx, testenv.Debian); err != nil {
		return err
	}
	if s.etcd, err = testenv.StartEtcd(ctx, filepath.Join(s.dir, "etcd")); err != nil {
		return err
	}
	s.later(s.etcd)
	return nil
}

func (s *scene) open(ctx context.Context) (err error) {
	if err := s.openNode(ctx); err != nil {
		return err
	}
	cold, err := s.seal()
	if err != nil {
		return err
	}
	sealed, err := s.seal()
	if err != nil {
		return err
	}
	sealed.KeepSpare() // as a program does that crosses again and again
	progress("starting %d targets", targets)
	target, err := s.startTargets(ctx)
	if err != nil {
		return err
	}
	r, err := startReceiver(ctx, s.node, s.dir, "bench", nil)
	if err != nil {
		return err
	}
	s.add("podreload's crossing", r, crossing(sealed, r, onOverlay))
	s.add("the same on tmpfs", r, crossing(sealed, r, onTmpfs))
	s.add(there, r, signalOnly(sealed, r))
	s.add("with no shim started ahead", r, crossing(cold, r, onOverlay))
	s.add("shim: start and exit", nil, start("bin/podreload-shim"))
	s.add("floor: write, rename, kill from the node", r, bare(r, onOverlay))
	s.add("the same on tmpfs", r, bare(r, onTmpfs))
	s.add("nsenter(1) sh", r, utilLinux(r))
	s.add("runc exec sh", r, runcExec(s.node.Runc(), s.node.RuncRoot(), r))
	if err := s.addTaskExec(ctx, s.node, r); err != nil {
		return err
	}
	progress("starting containerd 2")
	second, err := s.startNode(ctx, testenv.V2)
	if err != nil {
		return err
	}
	if r, err = startReceiver(ctx, second, s.dir, "second", nil); err != nil {
		return err
	}
	if err := s.addTaskExec(ctx, second, r); err != nil {
		return err
	}
	s.addPut(arrived, target, key)
	if confdProgram() == "" {
		return nil
	}
	return s.addConfd(ctx)
}

// addPut adds a way that begins when etcd has acknowledged a put.
func (s *scene) addPut(name string, r *receiver, key string) {
	s.add(name, r, nil)
	s.ways[len(s.ways)-1].before = func(ctx context.Context, text string) error {
		_, err := s.etcd.Put(ctx, key, text)
		return err
	}
}

// arrived is the name of the way of a change through the daemon.
const arrived = "etcd's acknowledgement to signal"

func (s *scene) seal() (*nsenter.Shim, error) {
	sealed, err := nsenter.Seal("bin/podreload-shim")
	if err == nil {
		s.later(sealed)
	}
	return sealed, err
}

func (s *scene) startNode(ctx context.Context, v testenv.Version) (*testenv.Node, error) {
	n, err := testenv.StartNode(ctx, testenv.NodeConfig{Version: v})
	if err == nil {
		s.later(n)
	}
	return n, err
}

// startTargets makes the daemon's targets, one a receiver and the others nginx,
// and the daemon. It returns the receiver.
func (s *scene) startTargets(ctx context.Context) (*receiver, error) {
	for _, k := range []string{key, testenv.ExperimentKey} {
		if _, err := s.etcd.Put(ctx, k, "the first value"); err != nil {
			return nil, err
		}
	}
	for i := range targets - 1 {
		_, err := s.node.RunPod(ctx, testenv.PodConfig{
			Name:       fmt.Sprintf("web-%d", i),
			Labels:     map[string]string{"podreload.io/profile": "web"},
			Containers: []testenv.ContainerConfig{{Name: "nginx"}},
		})
		if err != nil {
			return nil, err
		}
	}
	r, err := startReceiver(ctx, s.node, s.dir, "target", map[string]string{"podreload.io/profile": "bench"})
	if err != nil {
		return nil, err
	}
	progress("starting podreload daemon")
	if s.daemon, err = startDaemon(s.dir, s.node, s.etcd, conf(), "--listen", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	s.later(s.daemon)
	if _, err := r.signalled(); err != nil {
		return nil, err
	}
	if err := s.daemon.settled(ctx, targets); err != nil {
		return nil, err
	}
	progress("letting it rest")
	time.Sleep(5 * time.Second)
	if s.rest, err = s.daemon.memory(); err != nil {
		return nil, err
	}
	if s.before, err = s.daemon.phases(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

func (s *scene) add(name string, r *receiver, do func(context.Context, string) error) {
	s.ways = append(s.ways, &way{name: name, receiver: r, do: do})
}

func (s *scene) addTaskExec(ctx context.Context, n *testenv.Node, r *receiver) error {
	c, err := connect(ctx, n)
	if err != nil {
		return err
	}
	s.later(c)
	w, err := taskExec(ctx, c, r.ID, script)
	if err != nil {
		return err
	}
	w.receiver = r
	s.ways = append(s.ways, w)
	return nil
}

// later has c closed at the end, after what is added later.
func (s *scene) later(c io.Closer) { s.closers = append(s.closers, c) }

// Close ends and deletes all of it.
func (s *scene) Close() error {
	var errs []error
	for _, c := range slices.Backward(s.closers) {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/testenv"
)

// Cluster is a Kubernetes of one node. Its methods are safe for concurrent use, but for Close and
// those that stop and start parts of it.
type Cluster struct {
	dir    string
	lock   *os.File // held as long as the machine's /var/lib/kubelet is ours
	bin    string   // the one program of all parts
	node   *testenv.Node
	etcd   *testenv.Etcd // of the API server
	parts  []*part       // in the order in which they were started
	before []sysctl      // what the kubelet changes on the machine
}

// part is one process of Kubernetes.
type part struct {
	name   string
	args   []string
	cmd    *exec.Cmd
	exited <-chan struct{}
}

const cni = `{"cniVersion": "0.4.0", "name": "podreload-testenv", "plugins": [{
	"type": "bridge", "bridge": "cni0", "isDefaultGateway": true, "hairpinMode": true,
	"ipam": {"type": "host-local", "dataDir": "DIR/cni", "ranges": [[{"subnet": "SUBNET"}]]}}]}
`

// NodeName is the name of the one node.
const NodeName = "node-1"

// Start starts a cluster on a containerd of that version, and returns when its node is ready.
// The context bounds the start only; end the cluster with Close.
func Start(ctx context.Context, v testenv.Version) (*Cluster, error) {
	c := &Cluster{}
	if err := c.start(ctx, v); err != nil {
		return nil, errors.Join(fmt.Errorf("start a cluster: %w", err), c.Close())
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context, v testenv.Version) error {
	parts, err := testenv.Parts()
	if err != nil {
		return err
	}
	c.bin = filepath.Join(parts, "kubernetes", "kubernetes")
	if _, err := os.Stat(c.bin); err != nil {
		return fmt.Errorf("%w: run `make parts-kubernetes`", err)
	}
	if err := c.claim(); err != nil {
		return err
	}
	if err := c.startNode(ctx, v); err != nil {
		return err
	}
	if c.etcd, err = testenv.StartEtcdWith(ctx, c.path("etcd"), testenv.EtcdConfig{Client: "127.0.0.1:2379"}); err != nil {
		return err
	}
	if err := c.configure(); err != nil {
		return err
	}
	for _, p := range c.control() {
		if err := c.run(ctx, p); err != nil {
			return err
		}
	}
	c.before = sysctls()
	if err := c.run(ctx, c.kubelet()); err != nil {
		return err
	}
	return c.nodeReady(ctx)
}

// claim makes a folder and takes the machine's places. The folder is a mount that propagates,
// as a node's root is: volumes with mountPropagation refuse another.
func (c *Cluster) claim() (err error) {
	if c.lock, err = claimMachine(); err != nil {
		return err
	}
	if c.dir, err = os.MkdirTemp("", dirPattern); err != nil {
		return err
	}
	if err := os.Chmod(c.dir, 0o711); err != nil { // see testenv's
		return err
	}
	if err := unix.Mount(c.dir, c.dir, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s: %w", c.dir, err)
	}
	if err := unix.Mount("", c.dir, "", unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("share %s: %w", c.dir, err)
	}
	if err := os.Mkdir(c.Run(), 0o755); err != nil {
		return err
	}
	return c.mountRun()
}

// mountRun makes Run as a node's /run is after a boot: in memory, and empty.
func (c *Cluster) mountRun() error {
	if err := unix.Mount("tmpfs", c.Run(), "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755,size=512m"); err != nil {
		return fmt.Errorf("mount %s: %w", c.Run(), err)
	}
	return nil
}

func (c *Cluster) startNode(ctx context.Context, v testenv.Version) (err error) {
	c.node, err = testenv.StartNode(ctx, testenv.NodeConfig{
		Version: v, Dir: c.path("node"), CNI: c.fill(cni),
	})
	if err != nil {
		return err
	}
	return c.makeCgroups()
}

// run starts a part. It dies with us.
func (c *Cluster) run(ctx context.Context, p *part) error {
	log, err := os.OpenFile(c.Log(p.name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	p.cmd = exec.Command(c.bin, append([]string{p.name}, p.args...)...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.Env = append(os.Environ(), "GODEBUG=", "GOGC=50")
	if p.exited, err = testenv.Start(p.cmd); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	c.parts = append(c.parts, p)
	if p.name == apiServer {
		return c.apiReady(ctx, p)
	}
	return nil
}

// Close ends the cluster with all that runs on its node, and takes away what may be left of it. It
// may be called twice.
func (c *Cluster) Close() error {
	var errs []error
	for i := len(c.parts) - 1; i >= 0; i-- {
		p := c.parts[i]
		errs = append(errs, testenv.Stop(p.cmd, p.exited, 10*time.Second))
	}
	c.parts = nil
	if c.etcd != nil {
		errs = append(errs, c.etcd.Close())
		c.etcd = nil
	}
	if c.node != nil {
		errs = append(errs, c.node.Close())
		c.node = nil
	}
	restore(c.before)
	if c.lock != nil {
		errs = append(errs, removeDir(c.dir), releaseMachine(c.lock))
		c.lock = nil
	}
	return errors.Join(errs...)
}

func (c *Cluster) path(elem ...string) string {
	return filepath.Join(append([]string{c.dir}, elem...)...)
}

// Dir is the folder that everything of this cluster is in.
func (c *Cluster) Dir() string { return c.dir }

// Run is what a node has as /run: a tmpfs whose mounts propagate.
func (c *Cluster) Run() string { return c.path("run") }

// Node is the cluster's containerd.
func (c *Cluster) Node() *testenv.Node { return c.node }

// Log is the path of the log of kube-apiserver, kubelet….
func (c *Cluster) Log(part string) string { return c.path(part + ".log") }

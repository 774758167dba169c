package testenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// NodeConfig says how to start a [Node].
type NodeConfig struct {
	Version Version   // Debian if empty
	Dir     string    // everything lives below it; a temporary folder if empty. Keep it short: sockets are in it
	CNI     string    // the pods' network, a CNI network list of bridge, host-local and loopback; loopback only if empty
	Log     io.Writer // containerd's log goes here as well as to Dir/containerd.log; may be nil
}

// Node is a private containerd and the pods on it. It is safe for concurrent
// use, but for stopping and starting containerd.
type Node struct {
	dir    string
	runc   string
	config string // containerd's config.toml
	bin    string
	log    io.Writer
	lock   *os.File // held as long as dir is ours
	logf   *os.File

	conn    *grpc.ClientConn
	runtime cri.RuntimeServiceClient

	cmd    *exec.Cmd       // nil while containerd is stopped
	exited <-chan struct{} // closed when cmd has ended

	mu   sync.Mutex
	pods map[string]*Pod // by sandbox id
}

// reconnect keeps the wait for a server that is started again short; gRPC's own is a second and more.
var reconnect = grpc.WithConnectParams(grpc.ConnectParams{
	Backoff: backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.5, MaxDelay: 200 * time.Millisecond},
})

// StartNode starts a containerd and returns when its CRI is ready and the test
// image is there. The context bounds the start only; end the node with Close.
func StartNode(ctx context.Context, cfg NodeConfig) (*Node, error) {
	n := &Node{dir: cfg.Dir, log: cfg.Log, pods: map[string]*Pod{}}
	if err := n.start(ctx, cfg.Version, cfg.CNI); err != nil {
		return nil, errors.Join(fmt.Errorf("start a node: %w", err), n.Close())
	}
	return n, nil
}

func (n *Node) start(ctx context.Context, v Version, network string) error {
	p, err := findParts()
	if err != nil {
		return err
	}
	if n.bin, n.runc, err = p.bin(v); err != nil {
		return err
	}
	if n.dir, n.lock, err = claim(n.dir); err != nil {
		return err
	}
	if n.config, err = configure(n.dir, n.runc, network, p); err != nil {
		return err
	}
	if n.logf, err = os.OpenFile(filepath.Join(n.dir, "containerd.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err != nil {
		return err
	}
	// Calls wait for the socket, so that a restart of containerd is a delay, not an error.
	n.conn, err = grpc.NewClient("unix://"+n.Socket(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)),
		reconnect)
	if err != nil {
		return err
	}
	n.runtime = cri.NewRuntimeServiceClient(n.conn)
	if err := n.StartContainerd(ctx); err != nil {
		return err
	}
	return n.load(ctx, p)
}

// load imports the images that every node has.
func (n *Node) load(ctx context.Context, p parts) error {
	tar, err := images(p)
	if err != nil {
		return err
	}
	return n.Import(ctx, bytes.NewReader(tar), Image, pauseImage)
}

// Import loads images from an archive of `docker save` or of OCI, and waits until CRI
// knows those names.
func (n *Node) Import(ctx context.Context, archive io.Reader, names ...string) error {
	client, err := containerd.New(n.Socket(), containerd.WithDefaultNamespace("k8s.io"))
	if err != nil {
		return fmt.Errorf("connect to %s: %w", n.Socket(), err)
	}
	defer client.Close()
	if _, err := client.Import(ctx, archive); err != nil {
		return fmt.Errorf("import %v: %w", names, err)
	}
	service := cri.NewImageServiceClient(n.conn)
	for _, name := range names {
		if err := Poll(ctx, func() error {
			r, err := service.ImageStatus(ctx, &cri.ImageStatusRequest{Image: &cri.ImageSpec{Image: name}})
			if err == nil && r.Image == nil {
				err = errors.New("CRI does not know it")
			}
			return err
		}); err != nil {
			return fmt.Errorf("image %s: %w", name, err)
		}
	}
	return nil
}

// StartContainerd starts a stopped containerd and waits until its CRI is ready.
func (n *Node) StartContainerd(ctx context.Context) error {
	if n.cmd != nil {
		return errors.New("containerd runs already: stop it first")
	}
	var out io.Writer = n.logf
	if n.log != nil {
		out = io.MultiWriter(n.logf, n.log)
	}
	cmd := exec.Command(filepath.Join(n.bin, "containerd"), "--config", n.config)
	cmd.Env = append(os.Environ(), "PATH="+n.bin+":"+os.Getenv("PATH"))
	cmd.Stdout, cmd.Stderr = out, out
	// A group of its own: ^C in a terminal must not end it before its pods. And it must not
	// outlive us: the next node of anybody's clears up after us then (see orphans).
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL}
	// The pods' shims inherit the log; Wait must not wait for them.
	cmd.WaitDelay = time.Second
	exited, err := startAndWait(cmd)
	if err != nil {
		return fmt.Errorf("start containerd: %w", err)
	}
	n.cmd, n.exited = cmd, exited
	return n.ready(ctx)
}

// ready waits for CRI: the socket answers before it does.
func (n *Node) ready(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	exited := n.exited // a restart has another, and this goroutine may come late
	go func() {
		select {
		case <-exited:
			cancel(fmt.Errorf("containerd has ended: see %s", n.logf.Name()))
		case <-ctx.Done():
		}
	}()
	err := Poll(ctx, func() error {
		r, err := n.runtime.Status(ctx, &cri.StatusRequest{})
		if err != nil {
			return err
		}
		for _, c := range r.Status.Conditions {
			if !c.Status && (c.Type == cri.RuntimeReady || c.Type == cri.NetworkReady) {
				return fmt.Errorf("%s: %s %s", c.Type, c.Reason, c.Message)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("wait for CRI: %w", err)
	}
	return nil
}

// StopContainerd ends containerd alone; pods live on under their shims.
func (n *Node) StopContainerd() error {
	if n.cmd == nil {
		return nil
	}
	err := end(n.cmd.Process, n.exited, 10*time.Second)
	n.cmd = nil
	return err
}

// KillContainerd ends containerd alone as a crash does; pods live on.
func (n *Node) KillContainerd() error {
	if n.cmd == nil {
		return errors.New("kill containerd: it does not run")
	}
	if err := n.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill containerd: %w", err)
	}
	<-n.exited
	n.cmd = nil
	return nil
}

// Restart stops containerd alone, so that pods live on, and starts it again.
func (n *Node) Restart(ctx context.Context) error {
	if err := n.StopContainerd(); err != nil {
		return err
	}
	return n.StartContainerd(ctx)
}

// Socket is the absolute path of containerd's socket.
func (n *Node) Socket() string { return filepath.Join(n.dir, "containerd.sock") }

// NRISocket is where containerd's NRI listens; 1.6 has none.
func (n *Node) NRISocket() string { return filepath.Join(n.dir, "nri.sock") }

// Root is the folder in which containerd keeps content and snapshots.
func (n *Node) Root() string { return filepath.Join(n.dir, "root") }

// Runc is the absolute path of the OCI runtime.
func (n *Node) Runc() string { return n.runc }

// RuncRoot is what runc wants as --root to see the containers.
func (n *Node) RuncRoot() string { return filepath.Join(n.dir, "runc", "k8s.io") }

// Cgroup is the parent of the cgroups of all pods; what runs in it ends with the node.
func (n *Node) Cgroup() string { return nodeCgroup(n.dir) }

// Dir is the folder that everything of this node is in.
func (n *Node) Dir() string { return n.dir }

// Close ends the pods and containerd and takes away whatever may be left of both: processes, mounts,
// cgroups, files. It needs no containerd that answers, and may be called twice.
func (n *Node) Close() error {
	errs := []error{n.StopContainerd()}
	n.mu.Lock()
	for _, p := range n.pods {
		errs = append(errs, p.closeNetns())
	}
	clear(n.pods)
	n.mu.Unlock()
	if n.conn != nil {
		errs = append(errs, n.conn.Close())
		n.conn = nil
	}
	if n.logf != nil {
		errs = append(errs, n.logf.Close())
		n.logf = nil
	}
	if n.lock != nil {
		errs = append(errs, remove(n.dir), n.lock.Close())
		n.lock = nil
	}
	return errors.Join(errs...)
}

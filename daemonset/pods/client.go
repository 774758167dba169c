package pods

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/podreload/podreload/daemonset"
)

// dialTimeout bounds one connect to the socket. It is local, so only a
// containerd whose accept queue is full takes any time at all.
const dialTimeout = 5 * time.Second

// Client is a connection to one containerd and one of its namespaces. It is
// safe for concurrent use. It reconnects by itself when containerd restarts.
type Client struct {
	Node string // the node's name, for [daemonset.Pod]; set before the first use

	containerd *containerd.Client
	socket     string
	namespace  string
}

// Dial connects to containerd. The socket is a path or a unix:// URL; the
// namespace is containerd's, k8s.io for pods. It fails when nobody answers at
// the socket: the error then wraps [ErrAway], and [fs.ErrNotExist] or
// [fs.ErrPermission] where that is the cause.
func Dial(socket, namespace string) (*Client, error) {
	path, err := SocketPath(socket)
	if err != nil {
		return nil, err
	}
	if namespace == "" {
		return nil, errors.New("containerd's namespace is empty: set it, k8s.io is the kubelet's")
	}
	// The connection below is made lazily, so try once here to fail early.
	probe, err := dialSocket(context.Background(), path)
	if err != nil {
		return nil, away(path, err)
	}
	if err := probe.Close(); err != nil {
		return nil, away(path, err)
	}
	client, err := containerd.New(path,
		containerd.WithDefaultNamespace(namespace),
		containerd.WithExtraDialOpts([]grpc.DialOption{
			// containerd's own dialer waits for a missing socket to appear; we
			// want to be told, and retry by ourselves.
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
				return dialSocket(ctx, path)
			}),
			// A restarted containerd must be found soon, and a connect to a
			// local socket costs next to nothing.
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: minRetry, Multiplier: 2, Jitter: 0.2, MaxDelay: time.Second},
				MinConnectTimeout: dialTimeout,
			}),
		}))
	if err != nil {
		return nil, fmt.Errorf("connect to containerd at %s: %w", path, err)
	}
	return &Client{containerd: client, socket: path, namespace: namespace}, nil
}

// Close ends the connection, and with it what still runs on it.
func (c *Client) Close() error {
	if err := c.containerd.Close(); err != nil {
		return fmt.Errorf("close the connection to containerd at %s: %w", c.socket, err)
	}
	return nil
}

// Containerd is the connection itself, for package exec, which shares it. It ends with
// Close.
func (c *Client) Containerd() *containerd.Client { return c.containerd }

// Version is containerd's version, such as 1.6.20 or v2.4.2.
func (c *Client) Version(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	version, err := c.containerd.Version(ctx)
	if err != nil {
		return "", c.away(ctx, err)
	}
	return version.Version, nil
}

// List returns every running container of every pod, sorted by namespace, pod
// and name. Sandboxes (pause), containers that are created but not started,
// paused or ended, and containers of no pod are left out.
//
// An error that wraps [ErrUnreadable] and not [ErrAway] hides only the
// containers that it names: the list beside it holds all others.
func (c *Client) List(ctx context.Context) ([]daemonset.Container, error) {
	inventory := newInventory(c.containerd, c.Node)
	if err := inventory.relist(ctx); err != nil {
		return nil, c.away(ctx, err)
	}
	return inventory.containers(), inventory.err()
}

func dialSocket(ctx context.Context, path string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return new(net.Dialer).DialContext(ctx, "unix", path)
}

// SocketPath turns a path or a unix:// URL into an absolute path.
func SocketPath(socket string) (string, error) {
	// unix(7): sun_path holds 108 bytes with its end.
	const longest = 107
	path, isURL := strings.CutPrefix(socket, "unix://")
	if path == "" || !isURL && strings.Contains(socket, "://") {
		return "", fmt.Errorf("containerd's socket %q: not a path and not a unix:// URL", socket)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("containerd's socket %q: %w", socket, err)
	}
	if len(path) > longest {
		return "", fmt.Errorf("containerd's socket %s: a unix socket's path has at most %d bytes, this has %d", path, longest, len(path))
	}
	return path, nil
}

// away says that containerd does not answer, and what a person can do about it.
func (c *Client) away(ctx context.Context, err error) error {
	// gRPC keeps no more than the text of what went wrong below it.
	if conn, dialErr := dialSocket(ctx, c.socket); dialErr != nil {
		err = dialErr
	} else {
		_ = conn.Close()
	}
	return away(c.socket, err)
}

func away(socket string, err error) error {
	advice := "is containerd running?"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		advice = "is containerd running, and is this its socket (--runtime-endpoint)?"
	case errors.Is(err, fs.ErrPermission):
		advice = "run as root, or as a user that the socket's mode allows"
	}
	return fmt.Errorf("%w at %s: %w: %s", ErrAway, socket, err, advice)
}

package faults

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/podreload/podreload/testenv"
)

// etcdDir names the folder of the etcd that a copy of the test binary is to be.
const etcdDir = "PODRELOAD_FAULTS_ETCD"

// serveEtcd is an etcd of its own process: one can be killed there, which in this process would
// end the test. It ends with its standard input.
func serveEtcd(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	e, err := testenv.StartEtcd(ctx, dir)
	if err != nil {
		return err
	}
	fmt.Println(e.Endpoint())
	_, _ = io.Copy(io.Discard, os.Stdin)
	return e.Close()
}

// etcd is such a process, as its parent sees it.
type etcd struct {
	dir      string
	endpoint string
	client   *clientv3.Client
	process  *process
	stdin    io.Closer
}

func startEtcd(ctx context.Context, dir string) (*etcd, error) {
	e := &etcd{dir: dir}
	if err := e.start(ctx); err != nil {
		return nil, err
	}
	var err error
	e.client, err = clientv3.New(clientv3.Config{
		Endpoints: []string{e.endpoint},
		Logger:    zap.NewNop(),
		// gRPC's own wait for a server that comes back is a second and more.
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.5, MaxDelay: 200 * time.Millisecond},
		})},
	})
	return e, err
}

// start returns when the server can be written to.
func (e *etcd) start(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), etcdDir+"="+e.dir)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	// Not StdoutPipe, which Wait closes: it is read beside it.
	out, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	defer out.Close()
	cmd.Stdout = theirs
	e.process, err = startProcess(cmd)
	theirs.Close()
	if err != nil {
		return err
	}
	e.stdin = stdin
	if err := out.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	line, err := bufio.NewReader(io.LimitReader(out, 1024)).ReadString('\n')
	if err != nil {
		return fmt.Errorf("start etcd in %s: %w", e.dir, err)
	}
	e.endpoint = strings.TrimSpace(line)
	return nil
}

// close ends it in order.
func (e *etcd) close() error {
	if err := e.client.Close(); err != nil {
		return err
	}
	// Closed already: it has ended, with the test's context, and has been waited for.
	if err := e.stdin.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	select {
	case <-e.process.exited:
		return nil
	case <-time.After(patience):
		return e.process.kill()
	}
}

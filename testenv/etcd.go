package testenv

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"google.golang.org/grpc"
)

// Etcd is one etcd server in this process, on loopback, and a client of it. Its methods are not
// safe for concurrent use, but for those of its Client.
type Etcd struct {
	dir    string
	addr   string // host:port, the same over restarts
	peer   string
	server *embed.Etcd // nil while stopped
	client *clientv3.Client
}

// StartEtcd starts an etcd whose data and log are below dir, and returns when it can be
// written to. It listens on free ports; where an etcd that was killed has left its data in dir, on
// that one's. The context bounds the start only.
func StartEtcd(ctx context.Context, dir string) (*Etcd, error) {
	e := &Etcd{dir: dir}
	var err error
	if e.addr, e.peer, err = addrs(dir); err != nil {
		return nil, fmt.Errorf("start etcd: %w", err)
	}
	e.client, err = clientv3.New(clientv3.Config{
		Endpoints:   []string{e.Endpoint()},
		DialOptions: []grpc.DialOption{reconnect},
		Logger:      zap.NewNop(),
	})
	if err != nil {
		return nil, fmt.Errorf("connect to etcd: %w", err)
	}
	if err := e.Start(ctx); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// addrs returns the addresses that were used in dir before, else free ones, which it notes there.
func addrs(dir string) (client, peer string, err error) {
	note := filepath.Join(dir, "addresses")
	b, err := os.ReadFile(note)
	if err == nil {
		client, peer, _ = strings.Cut(string(b), " ")
		return client, peer, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", "", err
	}
	if client, peer, err = freeAddrs(); err != nil {
		return "", "", err
	}
	return client, peer, errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(note, []byte(client+" "+peer), 0o600))
}

// freeAddrs returns two loopback addresses that were free a moment ago.
func freeAddrs() (client, peer string, err error) {
	a, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	defer a.Close()
	b, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	defer b.Close()
	return a.Addr().String(), b.Addr().String(), nil
}

// Start starts a stopped server, same port and same data, and returns when Client is
// connected again.
func (e *Etcd) Start(ctx context.Context) error {
	if err := e.serve(ctx); err != nil {
		return err
	}
	// The client leaves a server that it lost alone for a while, and does not retry a put.
	if _, err := e.client.Get(ctx, "/"); err != nil {
		return fmt.Errorf("connect to etcd on %s: %w", e.addr, err)
	}
	return nil
}

func (e *Etcd) serve(ctx context.Context) error {
	if e.server != nil {
		return errors.New("start etcd: it runs already")
	}
	if err := os.MkdirAll(e.dir, 0o700); err != nil {
		return fmt.Errorf("start etcd: %w", err)
	}
	server, err := embed.StartEtcd(e.config())
	if err != nil {
		return fmt.Errorf("start etcd on %s: %w", e.addr, err)
	}
	select {
	case <-server.Server.ReadyNotify():
	case err := <-server.Err():
		server.Close()
		return fmt.Errorf("start etcd on %s: %w", e.addr, err)
	case <-ctx.Done():
		server.Close()
		return fmt.Errorf("start etcd on %s: %w; see %s", e.addr, context.Cause(ctx), e.log())
	}
	e.server = server
	return nil
}

func (e *Etcd) config() *embed.Config {
	c := embed.NewConfig()
	c.Name = "testenv"
	c.Dir = e.data()
	c.LogLevel = "warn"
	c.LogOutputs = []string{e.log()}
	c.UnsafeNoFsync = true           // the data need not outlive the machine
	c.TickMs, c.ElectionMs = 10, 100 // nobody else stands for election: be quick
	c.ListenClientUrls, c.AdvertiseClientUrls = urls(e.addr), urls(e.addr)
	c.ListenPeerUrls, c.AdvertisePeerUrls = urls(e.peer), urls(e.peer)
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	return c
}

func urls(addr string) []url.URL { return []url.URL{{Scheme: "http", Host: addr}} }

func (e *Etcd) data() string { return filepath.Join(e.dir, "data") }
func (e *Etcd) log() string  { return filepath.Join(e.dir, "etcd.log") }

// Stop ends the server and keeps its data; clients see lost connections.
func (e *Etcd) Stop() {
	if e.server == nil {
		return
	}
	e.server.Close()
	e.server = nil
}

// Close ends server and client. The data stay in the folder given to StartEtcd.
func (e *Etcd) Close() error {
	e.Stop()
	return e.client.Close()
}

// Endpoint is where clients connect to: http://host:port.
func (e *Etcd) Endpoint() string { return "http://" + e.addr }

// Client is a client of the server, which is closed with it.
func (e *Etcd) Client() *clientv3.Client { return e.client }

// Put writes a key and returns the revision at which it was.
func (e *Etcd) Put(ctx context.Context, key, value string) (int64, error) {
	r, err := e.client.Put(ctx, key, value)
	if err != nil {
		return 0, fmt.Errorf("put %s: %w", key, err)
	}
	return r.Header.Revision, nil
}

// Delete deletes a key and returns the revision at which it was.
func (e *Etcd) Delete(ctx context.Context, key string) (int64, error) {
	r, err := e.client.Delete(ctx, key)
	if err != nil {
		return 0, fmt.Errorf("delete %s: %w", key, err)
	}
	return r.Header.Revision, nil
}

// Backup copies the data to the folder path, which must not be there. The server is
// stopped meanwhile and started again.
func (e *Etcd) Backup(ctx context.Context, path string) error {
	e.Stop()
	if err := os.CopyFS(path, os.DirFS(e.data())); err != nil {
		return fmt.Errorf("back up etcd: %w", err)
	}
	return e.Start(ctx)
}

// Restore starts the server with the data of a Backup. As with etcd's own snapshots the revision
// goes back and the cluster's id stays, so that clients cannot tell by it.
func (e *Etcd) Restore(ctx context.Context, path string) error {
	e.Stop()
	if err := os.RemoveAll(e.data()); err != nil {
		return fmt.Errorf("restore etcd: %w", err)
	}
	if err := os.CopyFS(e.data(), os.DirFS(path)); err != nil {
		return fmt.Errorf("restore etcd: %w", err)
	}
	return e.Start(ctx)
}

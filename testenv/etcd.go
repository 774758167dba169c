package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
)

// EtcdConfig says what is different of an etcd from the one that StartEtcd starts.
type EtcdConfig struct {
	Version   Version // "": in this process, 3.7; Debian: the distribution's, a process of its own
	Client    string  // host:port of Endpoint; "": a free one on loopback
	Cert, Key string  // files; Endpoint is https then
	ClientCA  string  // file: clients of Endpoint must show a certificate of one of these authorities
	AuthToken string  // as --auth-token, such as jwt,…; "": simple tokens
}

// Etcd is one etcd server on loopback, and a client of it. Its methods are not
// safe for concurrent use, but for those of its Client.
type Etcd struct {
	dir    string
	config EtcdConfig
	addrs  addresses
	ports  *Ports
	member member
	server etcdServer // nil while stopped
	client *clientv3.Client
}

// member is what an etcd is in a cluster.
type member struct {
	name      string
	advertise string // where the others reach it: host:port
	cluster   string // --initial-cluster
	joins     bool   // one that exists
}

// StartEtcd starts an etcd whose data and log are below dir, and returns when it can be
// written to. It listens on free ports; where an etcd that was killed has left its data in dir, on
// that one's. The context bounds the start only.
func StartEtcd(ctx context.Context, dir string) (*Etcd, error) {
	return StartEtcdWith(ctx, dir, EtcdConfig{})
}

// StartEtcdWith is StartEtcd of a certain etcd.
func StartEtcdWith(ctx context.Context, dir string, config EtcdConfig) (*Etcd, error) {
	e, err := newEtcd(dir, config)
	if err != nil {
		return nil, fmt.Errorf("start etcd: %w", err)
	}
	e.member = member{name: "testenv", advertise: e.addrs.Peer, cluster: "testenv=http://" + e.addrs.Peer}
	if err := e.Start(ctx); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// newEtcd is an etcd that has not been started, with its client.
func newEtcd(dir string, config EtcdConfig) (*Etcd, error) {
	e := &Etcd{dir: dir, config: config}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	if e.addrs, e.ports, err = noted(e.note()); err != nil {
		return nil, err
	}
	if config.Client != "" {
		e.addrs.Client = config.Client
	}
	e.client, err = clientv3.New(clientv3.Config{
		Endpoints:   []string{e.Plain()},
		DialOptions: []grpc.DialOption{reconnect},
		Logger:      zap.NewNop(),
	})
	if err != nil {
		e.ports.Release()
		return nil, err
	}
	return e, nil
}

// Start starts a stopped server, same port and same data, and returns when Client is
// connected again.
func (e *Etcd) Start(ctx context.Context) error {
	if err := e.serve(ctx); err != nil {
		return err
	}
	// The client leaves a server that it lost alone for a while, and does not retry a put. An
	// etcd that wants a login answers too.
	if _, err := e.client.Get(ctx, "/"); err != nil && !strings.Contains(err.Error(), "user name is empty") {
		return fmt.Errorf("connect to etcd on %s: %w; see %s", e.addrs.Client, err, e.log())
	}
	return nil
}

func (e *Etcd) serve(ctx context.Context) error {
	if e.server != nil {
		return errors.New("start etcd: it runs already")
	}
	if err := e.writeConfig(); err != nil {
		return fmt.Errorf("start etcd: %w", err)
	}
	var err error
	switch e.config.Version {
	case "":
		e.server, err = embedEtcd(ctx, e.file())
	case Debian:
		e.server, err = runEtcd(e.file(), e.log())
	default:
		err = fmt.Errorf("etcd version %q: want %q, or none for the embedded one", e.config.Version, Debian)
	}
	if err != nil {
		return fmt.Errorf("start etcd on %s: %w; see %s", e.addrs.Client, err, e.log())
	}
	return nil
}

// Stop ends the server and keeps its data; clients see lost connections. A leader hands over
// before it goes.
func (e *Etcd) Stop() {
	if e.server != nil {
		e.server.stop()
		e.server = nil
	}
}

// Hang has an etcd with a process of its own answer nothing more until resume.
func (e *Etcd) Hang() (resume func() error, err error) {
	p, ok := e.server.(process)
	if !ok {
		return nil, errors.New("hang etcd: it is stopped, or in this process")
	}
	return p.hang()
}

// Kill ends the server with no word to anybody.
func (e *Etcd) Kill() {
	if e.server != nil {
		e.server.kill()
		e.server = nil
	}
}

// Close ends server and client. The data stay in the folder given to StartEtcd.
func (e *Etcd) Close() error {
	e.Stop()
	e.ports.Release()
	return e.client.Close()
}

// Endpoint is where clients connect to: http://host:port, or https with a certificate.
func (e *Etcd) Endpoint() string {
	if e.config.Cert != "" {
		return "https://" + e.addrs.Client
	}
	return "http://" + e.addrs.Client
}

// Plain is an endpoint without TLS, which Client uses.
func (e *Etcd) Plain() string {
	if e.config.Cert != "" {
		return "http://" + e.addrs.Plain
	}
	return e.Endpoint()
}

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
	if path != "" {
		if err := os.CopyFS(e.data(), os.DirFS(path)); err != nil {
			return fmt.Errorf("restore etcd: %w", err)
		}
	}
	return e.Start(ctx)
}

// Empty starts the server with no data at all: somebody has set up a new etcd in its place.
func (e *Etcd) Empty(ctx context.Context) error { return e.Restore(ctx, "") }

func (e *Etcd) data() string { return filepath.Join(e.dir, "data") }
func (e *Etcd) log() string  { return filepath.Join(e.dir, "etcd.log") }
func (e *Etcd) file() string { return filepath.Join(e.dir, "etcd.yaml") }
func (e *Etcd) note() string { return filepath.Join(e.dir, "addresses") }

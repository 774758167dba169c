package source

import (
	"net"
	"path/filepath"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/proxy/grpcproxy"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/podreload/podreload/testenv"
)

// grpcProxy puts etcd's own gRPC proxy before an etcd, and returns its endpoint.
func grpcProxy(t *testing.T, e *testenv.Etcd) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{e.Endpoint()}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	kv, batched := grpcproxy.NewKvProxy(client)
	watch, watched := grpcproxy.NewWatchProxy(client.Ctx(), zap.NewNop(), client)
	server := grpc.NewServer()
	pb.RegisterKVServer(server, kv)
	pb.RegisterWatchServer(server, watch)
	served := make(chan error)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		client.Close()
		<-served
		<-batched
		<-watched
	})
	return "http://" + l.Addr().String()
}

// TestGRPCProxy: the proxy keeps the streams of its clients while etcd behind it is
// restored from a backup, and it knows no progress requests. The check finds it out.
func TestGRPCProxy(t *testing.T) {
	t.Parallel()
	e := testenv.NewEtcd(t)
	put(t, e, "/a/x", "old")
	backup := filepath.Join(t.TempDir(), "backup")
	if err := e.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	c := openAt(t, grpcProxy(t, e))
	c.every = 100 * time.Millisecond
	n := count(c)
	c.config.DialOptions = append(c.config.DialOptions, ahead(e))
	s := c.Subscribe([]string{"/a"})
	holds(t, s, "/a/x=old")
	put(t, e, "/a/x", "lost")
	put(t, e, "/a/y", "lost")
	holds(t, s, "/a/x=lost", "/a/y=lost")
	if err := e.Restore(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	holds(t, s, "/a/x=old")
	put(t, e, "/a/x", "next")
	holds(t, s, "/a/x=next")
	wantMute(t, n)
}

package testenv

import (
	"context"
	"time"

	"go.uber.org/goleak"
)

// Leaks is an error if goroutines are left that do not end within half a minute. goleak by
// itself waits for half a second, in which those of gRPC and etcd do not end on a busy machine.
func Leaks(options ...goleak.Option) error {
	// An embedded etcd that is stopped while another member asks for its version leaves that
	// request waiting for a lock of its closed database: etcd's own goroutine, not ours.
	options = append(options, goleak.IgnoreAnyFunction("go.etcd.io/etcd/server/v3/etcdserver.(*EtcdServer).StorageVersion"))
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return Poll(ctx, func() error { return goleak.Find(options...) })
}

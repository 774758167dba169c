package source

import (
	"context"
	"sync"

	"google.golang.org/grpc"
)

// streams counts the watch streams that opened or broke. clientv3 replaces a
// broken stream without telling those who watch, but behind the new one may be
// another etcd: one that was restored from a backup.
type streams struct {
	mu      sync.Mutex
	count   uint64
	changed chan struct{} // closed and replaced when count grows
}

// now returns the count, and a channel that is closed when it grows.
func (s *streams) now() (uint64, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count, s.changed
}

func (s *streams) bump() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count++
	close(s.changed)
	s.changed = make(chan struct{})
}

// intercept is a grpc.StreamClientInterceptor. The count grows before the first
// answer of a new stream can arrive.
func (s *streams) intercept(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string,
	open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	stream, err := open(ctx, desc, conn, method, opts...)
	if err != nil || method != "/etcdserverpb.Watch/Watch" {
		return stream, err
	}
	s.bump()
	return &watchStream{ClientStream: stream, ended: func() {
		// Only clientv3 cancels ctx, when nobody watches any more. The
		// stream's own context would not tell: it always ends with it.
		if ctx.Err() == nil {
			s.bump()
		}
	}}, nil
}

// watchStream tells when the stream ends.
type watchStream struct {
	grpc.ClientStream
	ended func()
}

func (w *watchStream) RecvMsg(m any) error {
	err := w.ClientStream.RecvMsg(m)
	if err != nil {
		w.ended()
	}
	return err
}

// failFast is a grpc.UnaryClientInterceptor that undoes clientv3's wait for a
// connection: it would hide why there is none behind a deadline.
func failFast(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn,
	invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return invoke(ctx, method, req, reply, conn, append(opts, grpc.WaitForReady(false))...)
}

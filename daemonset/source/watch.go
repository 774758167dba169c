package source

import (
	"context"
	"errors"
	"strconv"
	"sync"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// batch is what one watch brought at once: whole revisions, since etcd splits
// them only where fragments are asked for. With err the watch is over.
type batch struct {
	events []*clientv3.Event
	err    error
}

// watch opens one watch per key from the revision after state's and merges
// what they bring. They end with ctx, and so do the goroutines that it adds to
// forwarders. It waits for a connection as long as ctx lets it.
func (f *feed) watch(ctx context.Context, forwarders *sync.WaitGroup) (<-chan *batch, error) {
	etcd, err := f.client.connect(ctx)
	if err != nil {
		return nil, err
	}
	login := f.client.logins.Load()
	ctx = streamContext(ctx, login)
	events := make(chan *batch)
	for _, key := range f.keys {
		w := etcd.Watch(ctx, key, clientv3.WithRange(after(key)),
			clientv3.WithRev(f.state.revision+1), clientv3.WithCreatedNotify())
		select {
		case created := <-w:
			if err := created.Err(); err != nil || !created.Created {
				return nil, f.broken(err, login)
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		forwarders.Go(func() { f.forward(ctx, w, login, events) })
	}
	return events, nil
}

// forward hands one watch on.
func (f *feed) forward(ctx context.Context, w clientv3.WatchChan, login int64, events chan<- *batch) {
	b := &batch{}
	for b.err == nil {
		resp, ok := <-w
		switch err := resp.Err(); {
		case err != nil || !ok:
			b = &batch{err: f.broken(err, login)}
		case len(resp.Events) == 0:
			continue
		default:
			b = &batch{events: resp.Events}
		}
		select {
		case events <- b:
		case <-ctx.Done():
			return
		}
	}
}

// broken turns the error of a watch that etcd ended into what to do next.
func (f *feed) broken(err error, login int64) error {
	switch {
	case is(err, rpctypes.ErrInvalidAuthToken), is(err, rpctypes.ErrAuthOldRevision):
		// A stream carries the token of its first day. Calls renew theirs,
		// but new watches on the old stream would be refused for ever.
		f.client.logins.CompareAndSwap(login, login+1)
		return errResync
	case err == nil, errors.Is(err, rpctypes.ErrCompacted):
		return errResync
	case status.Code(err) == codes.ResourceExhausted:
		// One answer was above maxMessage, and would be so again.
		return errResync
	}
	return err
}

// streamContext makes watches share one stream, since clientv3 has one stream
// per distinct metadata, until a new login needs a new one. The leader is
// required so that a member cut off from the others cannot keep a watch silent.
func streamContext(ctx context.Context, login int64) context.Context {
	if login > 0 {
		ctx = metadata.AppendToOutgoingContext(ctx, "podreload-login", strconv.FormatInt(login, 10))
	}
	return clientv3.WithRequireLeader(ctx)
}

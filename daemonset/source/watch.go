package source

import (
	"context"
	"errors"
	"math"
	"strconv"
	"sync"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// batch is what one watch brought at once: whole revisions, since etcd splits
// them only where fragments are asked for. With progress it is the answer to a
// request for it: the watch has brought all up to that revision. With err the
// watch is over.
type batch struct {
	events   []*clientv3.Event
	progress int64
	err      error
}

// upTo is the revision behind which clientv3 resumes the watch after this.
func (b *batch) upTo() int64 {
	if n := len(b.events); n > 0 {
		return b.events[n-1].Kv.ModRevision
	}
	return b.progress
}

// watch opens the watches from the revision after state's and merges what they
// bring. They end with ctx, and so do the goroutines that it adds to
// forwarders. It waits for a connection as long as ctx lets it, and calls
// opened after each watch, which is a round trip.
func (f *feed) watch(ctx context.Context, forwarders *sync.WaitGroup, opened func()) (<-chan *batch, error) {
	etcd, err := f.client.connect(ctx)
	if err != nil {
		return nil, err
	}
	login := f.client.logins.Load()
	f.login = login
	ctx = streamContext(ctx, login)
	events := make(chan *batch)
	for _, sp := range f.spans(f.keys) {
		w, err := openWatch(ctx, etcd, sp, f.state.revision+1)
		if err != nil {
			return nil, f.refused(err, login)
		}
		opened()
		forwarders.Go(func() { f.forward(ctx, w, login, events) })
	}
	f.denials, f.brought = 0, f.state.revision
	return events, nil
}

// errEnded stands for the error of a watch that ended without one.
var errEnded = errors.New("the watch ended")

// openWatch opens one watch. A member that is cut off refuses it, and the next
// attempt asks the next member. It must be the very next call: were it that of a
// whole new session, which makes two calls before, the watch would meet the same
// one of three members for ever.
func openWatch(ctx context.Context, etcd *clientv3.Client, sp span, revision int64) (clientv3.WatchChan, error) {
	var err error
	for range 3 {
		w := etcd.Watch(ctx, sp.from, clientv3.WithRange(sp.to), clientv3.WithRev(revision), clientv3.WithCreatedNotify())
		select {
		case created := <-w:
			if err = created.Err(); err == nil && created.Created {
				return w, nil
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if !elsewhere(err) {
			break
		}
	}
	if err == nil {
		err = errEnded
	}
	return nil, err
}

// forward hands one watch on.
func (f *feed) forward(ctx context.Context, w clientv3.WatchChan, login int64, events chan<- *batch) {
	b := &batch{}
	for b.err == nil {
		resp, ok := <-w
		switch err := resp.Err(); {
		case is(err, rpctypes.ErrNoLeader):
			// This member is cut off; whether all are is for the check to say.
			b = &batch{err: errReopen}
		case err != nil || !ok:
			b = &batch{err: f.broken(err, login)}
		case resp.IsProgressNotify():
			b = &batch{progress: resp.Header.Revision}
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

// refused turns the error of a watch that etcd did not open into what to do
// next.
func (f *feed) refused(err error, login int64) error {
	if !is(err, rpctypes.ErrPermissionDenied) {
		return f.broken(err, login)
	}
	switch f.denials++; {
	case !f.apart:
		f.separate(math.MaxInt) // what lies between the keys is not ours perhaps
		return errReopen
	case f.denials <= 3 && f.client.login.user != "":
		// The same ranges have been read a moment ago. So it is the stream's
		// login that has expired: etcd 3.4 says no more than this.
		f.client.logins.CompareAndSwap(login, login+1)
		f.unite()
		return errReopen
	}
	f.denials = 0
	f.unite()
	return err
}

// broken turns the error of a watch that etcd ended into what to do next.
func (f *feed) broken(err error, login int64) error {
	switch {
	case f.client.login.wanted(err):
		// A stream carries the token of its first day, or none. Calls renew theirs,
		// but new watches on the old stream would be refused for ever.
		f.client.logins.CompareAndSwap(login, login+1)
		return errResync
	case err == nil, err == errEnded, errors.Is(err, rpctypes.ErrCompacted):
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

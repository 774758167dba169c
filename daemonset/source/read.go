package source

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// maxOps is etcd's default limit of operations in one transaction
// (--max-txn-ops).
const maxOps = 128

// read reads all keys at one revision. A compaction, or an etcd that went back
// to a backup, in the middle of a paged read makes the pinned revision
// unreadable: then it starts again.
func (c *Client) read(ctx context.Context, keys []string) (s *state, err error) {
	page := c.page
	for range 5 {
		s, err = c.readOnce(ctx, keys, page)
		switch {
		case errors.Is(err, rpctypes.ErrCompacted), errors.Is(err, rpctypes.ErrFutureRev):
		case status.Code(err) == codes.ResourceExhausted && page > 1:
			page = max(1, page/16) // the values are large: an answer was above maxMessage
		default:
			return s, err
		}
	}
	return nil, err
}

func (c *Client) readOnce(ctx context.Context, keys []string, page int) (*state, error) {
	s := newState()
	left := spans(keys)
	for {
		n := min(len(left), maxOps, page)
		ops := make([]clientv3.Op, n)
		for i, sp := range left[:n] {
			// Without a sort order etcd returns keys in order and stops at the limit.
			ops[i] = sp.get(clientv3.WithLimit(int64(page/n)), clientv3.WithRev(s.revision))
		}
		resp, err := c.txn(ctx, ops)
		if err != nil {
			return nil, err
		}
		if s.revision == 0 {
			// All further pages are pinned to the first one's revision.
			s.revision = resp.Header.Revision
		}
		var next []span
		for i, r := range resp.Responses {
			kvs := r.GetResponseRange().Kvs
			for _, kv := range kvs {
				if err := s.put(newItem(kv)); err != nil {
					return nil, err
				}
			}
			if r.GetResponseRange().More && len(kvs) > 0 {
				next = append(next, span{from: string(kvs[len(kvs)-1].Key) + "\x00", to: left[i].to})
			}
		}
		left = append(next, left[n:]...)
		if len(left) == 0 {
			return s, nil
		}
	}
}

// get is a read of the span.
func (s span) get(opts ...clientv3.OpOption) clientv3.Op {
	if s.to != "" {
		opts = append(opts, clientv3.WithRange(s.to))
	}
	return clientv3.OpGet(s.from, opts...)
}

// txn runs reads at one revision. It is linearizable: the answer is at least as
// new as anything acknowledged before.
func (c *Client) txn(ctx context.Context, ops []clientv3.Op) (*clientv3.TxnResponse, error) {
	etcd, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return etcd.Txn(ctx).Then(ops...).Commit()
}

package source

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
)

const (
	// maxOps is etcd's default limit of operations in one transaction
	// (--max-txn-ops).
	maxOps = 128
	// firstPage is how many keys are asked for before it is known how large
	// they are; fewer once a client has found out that so many may be too much.
	firstPage = 512
)

// errMixed: the parts of one read or check came from several etcds, each with a history of its own.
var errMixed = errors.New("another etcd answers in the middle of a read: --endpoints, or what is behind them, must lead to one cluster")

// read reads all keys at one revision. A compaction, or an etcd that went back
// to a backup, in the middle of a paged read makes the pinned revision
// unreadable, and another etcd behind the same address has one that means
// something else: then it starts again.
func (c *Client) read(ctx context.Context, keys []string) (s *state, err error) {
	for range 5 {
		s, err = c.readOnce(ctx, keys)
		if !errors.Is(err, rpctypes.ErrCompacted) && !errors.Is(err, rpctypes.ErrFutureRev) && !errors.Is(err, errMixed) {
			break
		}
	}
	return s, err
}

func (c *Client) readOnce(ctx context.Context, keys []string) (*state, error) {
	s := newState()
	s.most = c.most
	left := spans(keys)
	most := c.page
	page := min(max(1, c.answer.size()/(answerSize/firstPage)), most, int(c.first.Load()))
	late := false // the last answer did not come in time
	for {
		answer, began := c.answer.size(), time.Now()
		n := min(len(left), maxOps, page)
		ops := make([]clientv3.Op, n)
		for i, sp := range left[:n] {
			// Without a sort order etcd returns keys in order and stops at the limit.
			ops[i] = sp.get(clientv3.WithLimit(int64(page/n)), clientv3.WithRev(s.revision))
		}
		resp, err := c.txn(ctx, ops)
		if code(err) == codes.ResourceExhausted && page > 1 {
			most = max(1, page/16) // the values are large: an answer was above maxMessage
			page = most
			c.first.Store(int64(min(page, firstPage)))
			continue
		}
		if outOfTime(err) && ctx.Err() == nil && page > 1 {
			// The link or etcd may be too slow for that much. Two in a row, of which the
			// second asked for little, are no matter of size.
			c.answer.late(answer)
			if !late {
				late, page = true, max(1, page/lateFactor)
				continue
			}
		}
		if err != nil {
			return nil, err
		}
		if s.revision == 0 {
			// All further pages are pinned to the first one's revision.
			s.revision, s.cluster = resp.Header.Revision, resp.Header.ClusterId
		}
		if resp.Header.ClusterId != s.cluster {
			return nil, errMixed
		}
		var next []span
		count, size := 1, 1
		for i, r := range resp.Responses {
			kvs := r.GetResponseRange().Kvs
			for _, kv := range kvs {
				count, size = count+1, size+len(kv.Key)+len(kv.Value)
				if err := s.put(newItem(kv)); err != nil {
					return nil, err
				}
			}
			if r.GetResponseRange().More && len(kvs) > 0 {
				next = append(next, span{from: string(kvs[len(kvs)-1].Key) + "\x00", to: left[i].to})
			}
		}
		c.answer.came(answer, size, time.Since(began), c.call)
		late = false
		left = append(next, left[n:]...)
		if len(left) == 0 {
			return s, nil
		}
		page = min(max(1, c.answer.size()*count/size), most)
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
func (c *Client) txn(ctx context.Context, ops []clientv3.Op) (resp *clientv3.TxnResponse, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.call)
	defer cancel()
	etcd, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	for range 3 {
		var token string
		if token, err = c.login.current(ctx); err != nil {
			return nil, err
		}
		resp, err = etcd.Txn(clientv3.WithRequireLeader(ctx)).Then(ops...).Commit()
		switch {
		case elsewhere(err):
			// A member that is cut off says so at once, and the next attempt
			// asks the next one; without the leader required it would keep
			// the call until its deadline.
		case c.login.wanted(err):
			if err := c.login.renew(ctx, etcd.ActiveConnection(), token); err != nil {
				return nil, err
			}
		default:
			return resp, err
		}
	}
	return resp, err
}

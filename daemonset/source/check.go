package source

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// verdict is what a check found of a state.
type verdict int

const (
	same   verdict = iota // etcd holds exactly this
	behind                // it was right at its revision; etcd has newer
	stale                 // it is wrong, or can no longer be proved right
)

// small is the state, in bytes, that is read whole behind a new watch stream instead of checked. It costs etcd
// as little, and the answer is sure.
const small = 64 << 10

// check compares s with etcd without reading it all: the number of keys, and
// the newest key with its value. A backup that was restored cannot be told by
// its cluster id, which stays the same, nor by the raft term, which grows with each
// election; but its revision is lower,
// or, once new writes made up for that, the newest key at our revision is
// another one; unless they were the same writes once more, but for a value. If nothing changed, s is lifted to etcd's revision, so that
// compaction does not overtake keys that rest.
func (c *Client) check(ctx context.Context, keys []string, s *state) (verdict, error) {
	held := s.newest()
	now, err := c.summary(ctx, keys, held.key(), 0)
	switch {
	case errors.Is(err, errMixed):
		return stale, nil
	case err != nil:
		return stale, err
	case now.head < s.revision, s.cluster != 0 && now.cluster != s.cluster:
		return stale, nil
	}
	s.head = now.head
	if now.newest == held && now.count == s.tree.Len() {
		s.revision = now.head
		return same, nil
	}
	// Either etcd has changes that the watch has still to bring, or another
	// past. The past at our revision never changes, so it tells which.
	last := max(s.revision, s.proved) // the higher, the later does compaction overtake it
	then, err := c.summary(ctx, keys, held.key(), last)
	switch {
	case errors.Is(err, rpctypes.ErrCompacted), errors.Is(err, rpctypes.ErrFutureRev), errors.Is(err, errMixed):
		return stale, nil
	case err != nil:
		return stale, err
	case then.newest == held && then.count == s.tree.Len():
		s.revision = last
		return behind, nil
	}
	return stale, nil
}

// rests reports whether etcd has written nothing at all since the revision of
// s. It costs etcd one look-up, where a check has it walk over all the keys;
// but it is an answer only on a watch stream that has been checked: another
// etcd may stand at the same revision.
func (c *Client) rests(ctx context.Context, keys []string, s *state) (bool, error) {
	var ops []clientv3.Op
	if held := s.newest(); held.text != "" {
		ops = append(ops, clientv3.OpGet(held.key(), clientv3.WithKeysOnly()))
	} else if all := spans(keys); len(all) > 0 {
		ops = append(ops, all[0].get(clientv3.WithKeysOnly(), clientv3.WithLimit(1)))
	}
	resp, err := c.txn(ctx, ops)
	return err == nil && resp.Header.Revision == s.revision, err
}

// summary is what etcd has below some keys at one revision.
type summary struct {
	cluster uint64
	head    int64 // etcd's revision when it was asked
	count   int   // number of keys
	newest  item  // the key asked for, with the highest mod_revision of all
}

// summary asks at a revision, 0 being the present. Its newest equals the item
// of key held only while no key is newer than that.
func (c *Client) summary(ctx context.Context, keys []string, held string, revision int64) (sum summary, err error) {
	at := clientv3.WithRev(revision)
	var ops []clientv3.Op
	for _, sp := range spans(keys) {
		ops = append(ops, sp.get(at, clientv3.WithKeysOnly(), clientv3.WithLimit(1),
			clientv3.WithSort(clientv3.SortByModRevision, clientv3.SortDescend)))
	}
	ranges, newest := len(ops), int64(0)
	if held != "" {
		ops = append(ops, clientv3.OpGet(held, at))
	}
	for i := 0; i == 0 || i < len(ops); i += maxOps {
		resp, err := c.txn(ctx, ops[i:min(i+maxOps, len(ops))])
		if err != nil {
			return sum, err
		}
		if i == 0 {
			sum.head, sum.cluster = resp.Header.Revision, resp.Header.ClusterId
		}
		if resp.Header.ClusterId != sum.cluster {
			return sum, errMixed
		}
		for j, r := range resp.Responses {
			r := r.GetResponseRange()
			if i+j < ranges {
				sum.count += int(r.Count)
			}
			for _, kv := range r.Kvs { // one at most
				newest = max(newest, kv.ModRevision)
				if i+j == ranges {
					sum.newest = newItem(kv)
				}
			}
		}
	}
	sum.newest.mod = newest
	return sum, nil
}

package testenv

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// Cluster is an etcd of several members. What they say to each other goes through the test, which
// can cut one off; clients reach all of them still.
type Cluster struct {
	Members []*Etcd
	dir     string
	peers   *peerNet
}

// StartCluster starts an etcd of n members whose data and logs are below dir, and returns when each
// of them answers.
func StartCluster(ctx context.Context, dir string, v Version, n int) (*Cluster, error) {
	c := &Cluster{dir: dir, peers: newPeerNet()}
	var names []string
	for i := range n {
		e, err := newEtcd(filepath.Join(dir, fmt.Sprint(i)), EtcdConfig{Version: v})
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.Members = append(c.Members, e)
		e.member.name = fmt.Sprintf("m%d", i)
		if e.member.advertise, err = c.peers.listen(e.addrs.Peer); err != nil {
			return nil, errors.Join(err, c.Close())
		}
		names = append(names, e.member.name+"=http://"+e.member.advertise)
	}
	for _, e := range c.Members {
		e.member.cluster = strings.Join(names, ",")
	}
	if err := c.Start(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	for i, e := range c.Members {
		r, err := e.client.Status(ctx, e.Plain())
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.peers.name(i, r.Header.MemberId)
	}
	return c, nil
}

// AddLearner starts one more that only learns what the members agree on. It is the last of
// Members from then on.
func (c *Cluster) AddLearner(ctx context.Context) (*Etcd, error) {
	e, err := newEtcd(filepath.Join(c.dir, "learner"), EtcdConfig{Version: c.Members[0].config.Version})
	if err != nil {
		return nil, err
	}
	first := c.Members[0]
	c.Members = append(c.Members, e)
	e.member = member{name: "learner", joins: true}
	if e.member.advertise, err = c.peers.listen(e.addrs.Peer); err != nil {
		return nil, err
	}
	url := "http://" + e.member.advertise
	e.member.cluster = first.member.cluster + "," + e.member.name + "=" + url
	for {
		_, err = first.client.MemberAddAsLearner(ctx, []string{url})
		if !errors.Is(err, rpctypes.ErrUnhealthy) { // as long as members have not been connected for five seconds
			break
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	if err != nil {
		return nil, fmt.Errorf("add a learner: %w", err)
	}
	return e, e.serve(ctx)
}

// Start starts the members that do not run, at once, since none answers before most of them do.
func (c *Cluster) Start(ctx context.Context) error {
	var wg sync.WaitGroup
	errs := make([]error, len(c.Members))
	for i, e := range c.Members {
		if e.server == nil {
			wg.Go(func() { errs[i] = e.Start(ctx) })
		}
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Kill kills these members, at once.
func (c *Cluster) Kill(members ...int) {
	var wg sync.WaitGroup
	for _, i := range members {
		wg.Go(c.Members[i].Kill)
	}
	wg.Wait()
}

// Endpoints are those of all members.
func (c *Cluster) Endpoints() (out []string) {
	for _, e := range c.Members {
		out = append(out, e.Endpoint())
	}
	return out
}

// Leader is the index of the member that leads.
func (c *Cluster) Leader(ctx context.Context) (int, error) {
	var last error
	for i, e := range c.Members {
		if e.server == nil {
			continue
		}
		r, err := e.client.Status(ctx, e.Plain())
		if err != nil {
			last = err
			continue
		}
		if r.Leader == r.Header.MemberId {
			return i, nil
		}
	}
	return 0, fmt.Errorf("no member leads (%w)", last)
}

// Isolate cuts a member off from the others, until Heal.
func (c *Cluster) Isolate(i int) { c.peers.isolate(i, true) }

// Heal undoes Isolate.
func (c *Cluster) Heal(i int) { c.peers.isolate(i, false) }

// Close ends all members.
func (c *Cluster) Close() error {
	var all []int
	for i := range c.Members {
		all = append(all, i)
	}
	c.Kill(all...)
	var errs []error
	for _, e := range c.Members {
		errs = append(errs, e.Close())
	}
	c.peers.close()
	return errors.Join(errs...)
}

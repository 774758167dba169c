package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/podreload/podreload/daemonset/source"
	"github.com/podreload/podreload/testenv"
)

// patience bounds every wait.
const patience = 2 * time.Minute

// agent is what an agent of a node has of etcd.
type agent struct {
	client *source.Client
	feeds  []*source.Subscription // the profile's, the shared one
	ctx    context.Context        // ends with it
	cancel context.CancelFunc
	wg     sync.WaitGroup

	revision, at atomic.Int64 // of the shared feed, and when it came
}

// kept are encoded snapshots by the keys that they are of, as nodes have them.
type kept map[string][]byte

func join(endpoints []string, keys []string, from kept) (*agent, error) {
	c, err := source.Open(source.Config{Endpoints: endpoints})
	if err != nil {
		return nil, err
	}
	a := &agent{client: c}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	for _, key := range keys {
		a.feeds = append(a.feeds, c.Resume([]string{key}, func() *source.Snapshot {
			s, err := source.ReadSnapshot(bytes.NewReader(from[key]))
			if err != nil {
				return nil // none was kept
			}
			return s
		}))
	}
	a.wg.Go(a.follow)
	return a, nil
}

// follow notes when the shared feed has something newer.
func (a *agent) follow() {
	shared := a.feeds[len(a.feeds)-1]
	for {
		select {
		case <-a.ctx.Done():
			return
		case <-shared.Changed():
		}
		if s, _ := shared.Current(); s != nil && s.Revision() > a.revision.Load() {
			a.at.Store(time.Now().UnixNano())
			a.revision.Store(s.Revision())
		}
	}
}

// fresh says whether all that it follows is there, and of now.
func (a *agent) fresh() bool {
	for _, f := range a.feeds {
		if s, err := f.Current(); s == nil || err != nil {
			return false
		}
	}
	return true
}

func (a *agent) leave() error {
	a.cancel()
	a.wg.Wait()
	return a.client.Close()
}

// keep is what the agent would have on its node's disk.
func (a *agent) keep(keys []string) (kept, error) {
	out := kept{}
	for i, f := range a.feeds {
		s, err := f.Current()
		if err != nil {
			return nil, err
		}
		var b bytes.Buffer
		if err := s.Encode(&b); err != nil {
			return nil, err
		}
		out[keys[i]] = b.Bytes()
	}
	return out, nil
}

// fleet is many agents of the same keys.
type fleet struct {
	endpoints, keys []string
	agents          []*agent
}

// grow lets agents join, until there are n and all are fresh.
func (f *fleet) grow(ctx context.Context, n int, from kept) error {
	for len(f.agents) < n {
		a, err := join(f.endpoints, f.keys, from)
		if err != nil {
			return err
		}
		f.agents = append(f.agents, a)
	}
	return f.all(ctx, (*agent).fresh)
}

// restart ends the first n agents and starts as many.
func (f *fleet) restart(ctx context.Context, n int, from kept) error {
	size := len(f.agents)
	err := each(f.agents[:n], (*agent).leave)
	f.agents = f.agents[n:]
	return errors.Join(err, f.grow(ctx, size, from))
}

func (f *fleet) leave() error {
	defer func() { f.agents = nil }()
	return each(f.agents, (*agent).leave)
}

// all waits until something is so of each agent.
func (f *fleet) all(ctx context.Context, so func(*agent) bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return testenv.Poll(ctx, func() error {
		missing := 0
		for _, a := range f.agents {
			if !so(a) {
				missing++
			}
		}
		if missing > 0 {
			_, err := f.agents[0].feeds[0].Current()
			return fmt.Errorf("%d of %d agents are not there yet; the first: %w", missing, len(f.agents), err)
		}
		return nil
	})
}

// arrived waits until each agent has a revision.
func (f *fleet) arrived(ctx context.Context, revision int64) error {
	return f.all(ctx, func(a *agent) bool { return a.revision.Load() >= revision })
}

// each does something to each of them at once.
func each(agents []*agent, do func(*agent) error) error {
	errs := make([]error, len(agents))
	var wg sync.WaitGroup
	for i, a := range agents {
		wg.Go(func() { errs[i] = do(a) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	profile, shared, many = "/fleet/web", "/fleet/shared", "/fleet/many"
	changes, restarts     = 20, 3
)

// scene is what is measured on, and what was.
type scene struct {
	etcd *members
	rest time.Duration
	rows []row
}

// row is one thing that was measured.
type row struct {
	what      string
	agents    int
	proxied   bool
	took      time.Duration
	etcd, via time.Duration // processor time of the three members, and of the proxy
	bytes     int64
	told
	half, most time.Duration // from etcd's acknowledgement to the agents
}

const (
	atStart, atRest, atChange, atRestart = "start: all is read", "at rest, a minute", "one key changes", "etcd restarts"
	rollFull, rollResume                 = "rolling update, all is read", "rolling update, resumed"
)

func (s *scene) measureAll(ctx context.Context, agents []int, large int) error {
	if err := s.etcd.Start(ctx); err != nil {
		return err
	}
	for prefix, n := range map[string]int{profile: 20, shared: 100} {
		if err := s.etcd.fill(ctx, prefix, n); err != nil {
			return err
		}
	}
	few := &fleet{endpoints: s.etcd.Endpoints(), keys: []string{profile, shared}}
	err := errors.Join(s.resting(ctx, few, ""), s.restarting(ctx, few, ""), s.growing(ctx, few, agents, ""), few.leave())
	if err == nil && large > 0 {
		err = s.large(ctx, large)
	}
	if err != nil {
		return err
	}
	proxy, err := s.etcd.Proxy()
	if err != nil {
		return err
	}
	few = &fleet{endpoints: []string{proxy}, keys: few.keys}
	return errors.Join(s.growing(ctx, few, agents[len(agents)-1:], ""), few.leave())
}

// growing measures all that happens to a fleet, at each of its sizes.
func (s *scene) growing(ctx context.Context, f *fleet, agents []int, note string) error {
	for i, n := range agents {
		progress("%d agents%s", n, note)
		r := row{what: atStart + note, agents: n}
		if len(f.agents) == 0 {
			if err := s.measure(&r, func() error { return f.grow(ctx, n, nil) }); err != nil {
				return err
			}
		} else if err := errors.Join(f.leave(), s.measure(&r, func() error { return f.grow(ctx, n, nil) })); err != nil {
			return err
		}
		if err := errors.Join(s.resting(ctx, f, note), s.changing(ctx, f, note)); err != nil {
			return err
		}
		if i == len(agents)-1 {
			if err := s.rolling(ctx, f, note); err != nil {
				return err
			}
		}
		if err := s.restarting(ctx, f, note); err != nil {
			return err
		}
	}
	return nil
}

// large measures agents of many keys.
func (s *scene) large(ctx context.Context, agents int) error {
	const keys = 50_000
	if err := s.etcd.fill(ctx, many, keys); err != nil {
		return err
	}
	f := &fleet{endpoints: s.etcd.Endpoints(), keys: []string{profile, many}}
	return errors.Join(s.growing(ctx, f, []int{agents}, fmt.Sprintf(" (%d keys)", keys)), f.leave())
}

// measure does something and notes what it has cost.
func (s *scene) measure(r *row, do func() error) error {
	if _, err := s.etcd.tell(); err != nil { // first: to tell takes the members' processor time too
		return err
	}
	etcd, via, err := s.etcd.cpu()
	if err != nil {
		return err
	}
	bytes, err := traffic()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := do(); err != nil {
		return fmt.Errorf("%d agents, %s: %w", r.agents, r.what, err)
	}
	r.took, r.proxied = time.Since(began), s.etcd.proxy != nil
	after, err := traffic()
	if err != nil {
		return err
	}
	r.bytes = after - bytes
	r.etcd, r.via, err = s.etcd.cpu()
	if err != nil {
		return err
	}
	r.etcd, r.via = r.etcd-etcd, r.via-via
	if r.told, err = s.etcd.tell(); err != nil {
		return err
	}
	s.rows = append(s.rows, *r)
	return nil
}

// resting lets the fleet be, while others write once a second.
func (s *scene) resting(ctx context.Context, f *fleet, note string) error {
	r := row{what: atRest + note, agents: len(f.agents)}
	err := s.measure(&r, func() error {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for over := time.After(s.rest); ; {
			select {
			case <-over:
				return nil
			case <-tick.C:
				if _, err := s.etcd.client.Put(ctx, "/elsewhere", "1"); err != nil {
					return err
				}
			}
		}
	})
	if err == nil {
		last := &s.rows[len(s.rows)-1]
		minute := float64(time.Minute) / float64(last.took)
		last.etcd, last.via = time.Duration(float64(last.etcd)*minute), time.Duration(float64(last.via)*minute)
		last.bytes, last.Calls = int64(float64(last.bytes)*minute), int64(float64(last.Calls)*minute)
	}
	return err
}

// changing changes a key that all have, again and again, and notes what one change costs.
func (s *scene) changing(ctx context.Context, f *fleet, note string) error {
	r := row{what: atChange + note, agents: len(f.agents)}
	var late, last []time.Duration
	err := s.measure(&r, func() error {
		for i := range changes {
			put, err := s.etcd.client.Put(ctx, f.keys[1]+"/00007", value(1000+i))
			if err != nil {
				return err
			}
			acknowledged := time.Now()
			if err := f.arrived(ctx, put.Header.Revision); err != nil {
				return err
			}
			var latest time.Duration
			for _, a := range f.agents {
				took := max(0, time.Unix(0, a.at.Load()).Sub(acknowledged)) // it may come before the acknowledgement
				late, latest = append(late, took), max(latest, took)
			}
			last = append(last, latest)
		}
		return nil
	})
	if err == nil {
		r := &s.rows[len(s.rows)-1]
		r.half, r.most = quantile(late, 0.5), quantile(late, 0.99)
		r.took, r.etcd, r.via, r.bytes, r.Calls = quantile(last, 0.5), r.etcd/changes, r.via/changes, r.bytes/changes, r.Calls/changes
	}
	return err
}

// restarting kills all members at once and starts them again, and notes the median of what it costs,
// from their start until each agent has what was written first.
func (s *scene) restarting(ctx context.Context, f *fleet, note string) error {
	var rows []row
	for range restarts {
		if err := s.etcd.Kill(); err != nil {
			return err
		}
		r := row{what: atRestart + note, agents: len(f.agents)}
		if err := s.measure(&r, func() error {
			if err := s.etcd.Start(ctx); err != nil {
				return err
			}
			put, err := s.etcd.client.Put(ctx, f.keys[1]+"/00008", value(2000))
			if err != nil {
				return err
			}
			return errors.Join(f.arrived(ctx, put.Header.Revision), f.all(ctx, (*agent).fresh))
		}); err != nil {
			return err
		}
		rows = append(rows, s.rows[len(s.rows)-1])
		s.rows = s.rows[:len(s.rows)-1]
	}
	slices.SortFunc(rows, func(a, b row) int { return int(a.etcd - b.etcd) })
	s.rows = append(s.rows, rows[len(rows)/2])
	return nil
}

// rolling restarts the agents, a tenth at a time: first as they come without what they kept,
// then with it, a key having changed meanwhile.
func (s *scene) rolling(ctx context.Context, f *fleet, note string) error {
	from, err := f.agents[0].keep(f.keys)
	if err != nil {
		return err
	}
	for _, way := range []struct {
		what string
		from kept
	}{{rollFull, nil}, {rollResume, from}} {
		if _, err := s.etcd.client.Put(ctx, f.keys[1]+"/00009", value(3000)); err != nil {
			return err
		}
		r := row{what: way.what + note, agents: len(f.agents)}
		if err := s.measure(&r, func() error {
			step := max(1, len(f.agents)/10)
			for range (len(f.agents) + step - 1) / step {
				if err := f.restart(ctx, step, way.from); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// quantile is the q'th part of the sorted samples.
func quantile(samples []time.Duration, q float64) time.Duration {
	if len(samples) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(samples))
	return s[min(int(q*float64(len(s))), len(s)-1)]
}

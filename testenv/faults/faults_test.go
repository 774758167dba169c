package faults

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/podreload/podreload/testenv"
)

var (
	rounds  = flag.Int("faults.rounds", 0, "how many times something is killed; 0: 60, under CI 300")
	seed    = flag.Uint64("faults.seed", 0, "what decides who is killed when; 0: random")
	version = flag.String("faults.containerd", string(testenv.V2), "which containerd: v2 or debian")
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(etcdDir); dir != "" {
		if err := serveEtcd(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	testenv.Main(m)
}

// TestFaults: whatever is killed when, nothing wrong is ever read, served or left.
func TestFaults(t *testing.T) {
	testenv.Needs(t)
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	if *rounds == 0 {
		*rounds = 60
		if os.Getenv("CI") != "" {
			*rounds = 300 // six minutes or so
		}
	}
	t.Logf("%d rounds; again with -faults.seed=%d", *rounds, *seed)
	r := newRig(t, testenv.Version(*version), *seed)
	r.writer.next(t.Context(), false)
	r.must(r.startDaemon())
	t.Cleanup(func() {
		r.must(r.daemon.kill())
		if t.Failed() {
			t.Logf("seed %d; the last events:\n%s\nthe daemon's last words:\n%s", *seed, r.events, r.tail())
		}
	})
	r.must(r.live(r.writer.last()))

	bare := r.newBare()
	ctx, cancel := context.WithCancel(t.Context())
	wait := r.start(ctx, append(append(r.users(), r.clients(bare.target)...), collect)...)
	defer wait()
	defer cancel()

	writing, stop := context.WithCancel(ctx)
	written := r.start(writing, func(ctx context.Context) { r.writer.run(ctx, rand.New(rand.NewPCG(*seed, 2))) },
		func(ctx context.Context) { bare.run(ctx, r) })
	r.kill(*rounds)
	stop()
	written()
	r.settle()
	r.reportUsers(bare)
	r.wantNoGrowth()
	cancel()
	wait()
	// Now nobody but containerd and the pods works any more, and collect has ended: what is
	// still there was left.
	r.must(bare.pod.Remove(t.Context()))
	r.must(r.daemon.stop(patience))
	r.wantNothingLeft()
}

// kill does the rounds.
func (r *rig) kill(rounds int) {
	struck := map[string]int{}
	begun := time.Now()
	for round := range rounds {
		v := r.choose()
		struck[v.name]++
		r.events.add("round %d: %s", round, v.name)
		if err := r.round(v); err != nil {
			r.t.Fatalf("round %d, %s: %v", round, v.name, err)
		}
		if wrong := r.events.failures(); wrong != "" {
			r.t.Fatalf("round %d, %s: %s", round, v.name, wrong)
		}
	}
	r.t.Logf("%d rounds in %s: %v; %d shims were killed inside", rounds, time.Since(begun).Round(time.Second), struck, r.inside)
	if enough := 10; struck[shimInside] >= enough && r.inside == 0 {
		r.t.Errorf("in %d rounds no shim was met inside: these have shown nothing", struck[shimInside])
	}
}

// round kills one victim a moment after a put, and waits until all is well again.
func (r *rig) round(v victim) error {
	ctx, cancel := context.WithTimeout(r.t.Context(), 2*patience)
	defer cancel()
	if err := r.writer.afterPut(ctx); err != nil {
		return err
	}
	r.pause(ctx, 30*time.Millisecond)
	if err := v.strike(r, ctx); err != nil {
		return err
	}
	if err := r.writer.afterPut(ctx); err != nil {
		return err
	}
	return r.well()
}

// recover is a round without a writer beside it.
func (r *rig) recover(v victim) error {
	ctx, cancel := context.WithTimeout(r.t.Context(), 2*patience)
	defer cancel()
	r.writer.next(ctx, false) // so that there is work to meet
	if err := v.strike(r, ctx); err != nil {
		return err
	}
	r.settle()
	return r.well()
}

// well waits until every target is, and judges what was seen until then.
func (r *rig) well() error {
	if err := r.live(r.writer.last()); err != nil {
		return err
	}
	for _, t := range r.targets {
		t.close()
		t.judge(r.events)
	}
	return nil
}

// settle puts a last number: it must be live, served and in the files of every target.
func (r *rig) settle() {
	r.t.Helper()
	r.must(r.await("etcd takes a last number", func() error {
		before := r.writer.last()
		r.writer.next(r.t.Context(), false)
		if r.writer.last() == before {
			return errors.New("it does not")
		}
		return nil
	}))
	last := r.writer.last()
	r.must(r.live(last))
	for _, t := range r.targets {
		_, pid := t.now()
		for _, path := range []string{firstPath, secondPath} {
			if n, err := readNumber(pid, path); err != nil || n != last.number {
				r.t.Errorf("%s: %s holds number %d, %v; want %d", t.name, path, n, err, last.number)
			}
		}
		want := fmt.Sprintf("%d %d\n", last.number, last.number)
		if got, err := t.pod.Get(r.t.Context(), 80, "/"); err != nil || got != want {
			r.t.Errorf("%s serves %q, %v; want %q", t.name, got, err, want)
		}
		t.judge(r.events)
	}
	if wrong := r.events.failures(); wrong != "" {
		r.t.Error(wrong)
	}
}

// tail is the end of the daemon's log.
func (r *rig) tail() string {
	const most = 64 << 10
	info, err := r.log.Stat()
	if err != nil {
		return err.Error()
	}
	f, err := os.Open(r.log.Name())
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	b, err := io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-most), most))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

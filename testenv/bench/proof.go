package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/daemonset/verify"
	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/testenv"
)

// maxProof is how much longer nginx may take to serve while its reload is being proved. It
// is noise: a proof asks nothing of nginx.
const maxProof = 1.1

// whoServes has nginx answer with the pid of the worker that does.
const whoServes = `echo 'server { listen 80; location / { default_type text/plain; return 200 "$pid"; } }' >/etc/nginx/conf.d/default.conf
exec nginx -g 'daemon off;'`

// served is an nginx that is reloaded, until a new worker answers.
type served struct {
	pod    *testenv.Pod
	preset verify.Preset
	master *nsenter.Process
	serve  int      // how many workers it has
	before []string // those that have answered
	proved []time.Duration

	proof   *verify.Proof // of the reload that comes next
	proofs  chan error
	pending bool // one is yet to come
}

// proofs measures what proving a reload costs, and writes a table of its own.
func proofs(ctx context.Context, out io.Writer, s *scene, n int) error {
	progress("proving reloads")
	p := &served{proofs: make(chan error, 1)}
	var err error
	if p.pod, err = s.node.RunPod(ctx, testenv.PodConfig{
		Name: "proof", Containers: []testenv.ContainerConfig{{Name: "nginx", Command: []string{"sh", "-c", whoServes}}},
	}); err != nil {
		return err
	}
	if err := p.find(ctx); err != nil {
		return err
	}
	defer p.master.Close()
	bare := &way{name: "a bare signal, until a new worker serves", before: p.settle, do: func(ctx context.Context, _ string) error {
		return errors.Join(unix.Kill(p.master.Pid(), unix.SIGHUP), p.serves(ctx))
	}}
	proved := &way{name: "the same while it is being proved", before: p.begin, do: p.prove}
	err = race(ctx, []*way{bare, proved}, min(n, rounds), func(int) {})
	if err := errors.Join(err, p.ended()); err != nil {
		return err
	}
	ratio := float64(median(proved.done)) / float64(median(bare.done))
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "\na reload of nginx\tMEDIAN\tP10\tP95\tRATIO\tGOAL")
	fmt.Fprintf(w, "%s\t%s\t1.00\n", bare.name, spread(bare.done))
	fmt.Fprintf(w, "%s\t%s\t%.2f\t%s\n", proved.name, spread(proved.done), ratio, mark("no longer", ratio <= maxProof))
	fmt.Fprintf(w, "until it is proved, of every worker\t%s\n", spread(p.proved))
	return w.Flush()
}

// find waits for nginx and pins its master.
func (p *served) find(ctx context.Context) error {
	pid, err := p.pod.Container("nginx").Pid(ctx)
	if err != nil {
		return err
	}
	init, err := nsenter.Pin(pid)
	if err != nil {
		return err
	}
	defer init.Close()
	if p.preset, err = verify.Lookup("nginx"); err != nil {
		return err
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(rest) {
		if _, err = p.pod.Get(ctx, 80, "/"); err == nil {
			p.master, err = p.preset.Find(ctx, init)
		}
		if err == nil {
			p.serve, _, err = p.preset.Census(p.master)
		}
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// settle waits until no worker of an earlier reload is left, and asks until every worker
// that there is now is known. As long as old ones serve beside the new, for 100 ms, nginx's
// master sleeps, and would come to the next signal that much later.
func (p *served) settle(ctx context.Context, _ string) error {
	if err := p.ended(); err != nil {
		return err
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(rest) {
		workers, old, err := p.preset.Census(p.master)
		if err != nil {
			return err
		}
		if old == 0 && workers == p.serve {
			p.before = nil
			for range 100 * workers {
				if err := p.ask(ctx); err != nil {
					return err
				}
				if len(p.before) >= workers {
					return nil
				}
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("of %d workers of nginx %d old, %q answer", workers, old, p.before)
		}
	}
}

// askers is how many ask at once. While old and new workers listen, chance decides who of
// them accepts a single connection; of several a new one gets some as soon as it can.
const askers = 8

func (p *served) ask(ctx context.Context) error {
	type answer struct {
		who string
		err error
	}
	answers := make(chan answer, askers)
	for range askers {
		go func() {
			who, err := p.pod.Get(ctx, 80, "/")
			answers <- answer{who, err}
		}()
	}
	var errs []error
	for range askers {
		a := <-answers
		if errs = append(errs, a.err); a.err == nil && !slices.Contains(p.before, a.who) {
			p.before = append(p.before, a.who)
		}
	}
	return errors.Join(errs...)
}

// serves asks until a worker answers that was not there before.
func (p *served) serves(ctx context.Context) error {
	known := len(p.before)
	for deadline := time.Now().Add(patience); len(p.before) == known; {
		if err := p.ask(ctx); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return errors.New("no new worker of nginx answers")
		}
	}
	return nil
}

// begin notes what a proof compares with, as an apply does before it signals.
func (p *served) begin(ctx context.Context, text string) error {
	err := p.settle(ctx, text)
	if err == nil {
		p.proof, err = p.preset.Before(p.master)
	}
	return err
}

// prove signals and proves, while a client asks. It returns when the client is served; the
// proof ends before the next reload begins.
func (p *served) prove(ctx context.Context, _ string) error {
	proof, start := p.proof, now()
	if err := unix.Kill(p.master.Pid(), unix.SIGHUP); err != nil {
		return errors.Join(err, proof.Close())
	}
	p.pending = true
	go func() {
		err := proof.Wait(ctx)
		p.proved = append(p.proved, now()-start)
		p.proofs <- errors.Join(err, proof.Close())
	}()
	return p.serves(ctx)
}

// ended waits for the proof that is under way, if there is one.
func (p *served) ended() error {
	if !p.pending {
		return nil
	}
	p.pending = false
	return <-p.proofs
}

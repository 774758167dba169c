package faults

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/testenv"
)

// bare is a pod that podreload has nothing to do with. It is signalled as a person would while
// the others are being reloaded, so that what nginx itself does to connections that are kept
// alive is seen under the same load.
type bare struct {
	*target
	signals atomic.Int64 // that other workers came of
}

// serveBare answers as the targets do, with numbers that nobody puts.
const serveBare = `echo 'server { listen 80; location / { default_type text/plain; return 200 "0 0\n"; } }' >/etc/nginx/conf.d/default.conf
exec nginx -g 'daemon off;'`

func (r *rig) newBare() *bare {
	b := &bare{target: &target{name: "bare"}}
	var err error
	b.pod, err = r.node.RunPod(r.t.Context(), testenv.PodConfig{
		Name: b.name, Containers: []testenv.ContainerConfig{{Name: "nginx", Command: []string{"sh", "-c", serveBare}}},
	})
	r.must(err)
	r.must(b.took(r.t.Context(), b.pod.Container("nginx")))
	r.must(r.await("the bare pod serves", func() error {
		_, err := b.pod.Get(r.t.Context(), 80, "/")
		return err
	}))
	return b
}

// run signals after each put, until the context ends.
func (b *bare) run(ctx context.Context, r *rig) {
	for r.writer.afterPut(ctx) == nil {
		master, before, err := r.nginx(b.target)
		if err == nil {
			err = unix.Kill(master, unix.SIGHUP)
		}
		if err == nil {
			err = r.await("the bare pod has other workers", func() error {
				_, after, err := r.nginx(b.target)
				if err == nil && slices.ContainsFunc(before, func(pid int) bool { return slices.Contains(after, pid) }) {
					err = errors.New("an old one serves")
				}
				if ctx.Err() != nil {
					return nil
				}
				return err
			})
		}
		if err != nil {
			r.events.fail("signal the bare pod: %v", err)
			return
		}
		b.signals.Add(1)
	}
}

// reportUsers compares what clients and readers saw with what bare signals did.
//
// nginx closes idle connections when it reloads, and a request that is on its way at that moment
// is lost, whoever sent the signal: so the rate is compared, not the number with 0. Both are counts of rare
// events, whose standard deviation is about the root of the count. Ours are worse beyond noise if their
// rate less two deviations is above the bare signals' plus two; 3 is what a count of 0 may have
// stood for (at 95 percent).
func (r *rig) reportUsers(b *bare) {
	reloads, lost := 0, 0
	for i, t := range r.targets {
		reloads += t.reloads
		lost += t.lost
		r.t.Logf("%s: %d reloads, %d reads of whole files, %d requests failed while the test had ended nginx",
			t.name, t.reloads, r.readers[i].reads.Load(), t.excused)
	}
	b.judge(r.events)
	signals := int(b.signals.Load())
	r.t.Logf("lost over connections kept alive: %d at %d reloads of podreload, %d at %d bare signals", lost, reloads, b.lost, signals)
	if signals == 0 {
		r.t.Error("there was no bare signal to compare with")
	}
	ours := (float64(lost) - 2*math.Sqrt(float64(lost))) / float64(max(1, reloads))
	theirs := (float64(b.lost) + 2*math.Sqrt(float64(b.lost)) + 3) / float64(max(1, signals))
	if ours > theirs {
		r.t.Errorf("a reload of podreload loses more requests over connections kept alive (%.3f or more) than a bare signal (%.3f or less)", ours, theirs)
	}
}

package soak

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/podreload/podreload/testenv/plot"
)

// measure is one thing that is looked at, and how much more of it the end may have than the
// beginning: a part of it, and a constant.
type measure struct {
	name     string
	of       func(sample) float64
	part     float64
	constant func(pods int) float64
	unit     float64 // of what is shown; 0: a count
	swings   bool    // it rises until it is looked over, and falls then: what it fell to is compared
}

const mb = 1 << 20

func always(n float64) func(int) float64 { return func(int) float64 { return n } }

// fewFor is a number for each pod and some.
func fewFor(each float64) func(int) float64 {
	return func(pods int) float64 { return each*float64(pods) + 20 }
}

// untrimmed is how many files that no history leads back to there may be below --root: they are
// looked over when 16 MiB of blocks were added.
const untrimmed = 16 << 20 / 4096

var measures = []measure{
	{"RSS, MB", func(s sample) float64 { return s.rss }, 0.2, always(8 * mb), mb, false},
	{"PSS, MB", func(s sample) float64 { return s.pss }, 0.2, always(8 * mb), mb, false},
	{"heap, MB", func(s sample) float64 { return s.heap }, 0.2, always(8 * mb), mb, false},
	{"descriptors", func(s sample) float64 { return s.fds }, 0, fewFor(4), 0, false}, // of applies under way
	{"threads", func(s sample) float64 { return s.threads }, 0, fewFor(1), 0, false}, // in system calls; Go keeps those it once needed
	{"goroutines", func(s sample) float64 { return s.goroutines }, 0, fewFor(1), 0, false},
	{"files below --state", func(s sample) float64 { return s.stateFiles }, 0, fewFor(2), 0, false},
	{"files below --root", func(s sample) float64 { return s.rootFiles }, 0.2, fewFor(20), 0, true},
	{"MB below --root", func(s sample) float64 { return s.rootSize }, 0.2, always(2 * mb), mb, false},
}

// tenth is the median of what the samples of a tenth of the run tell, counted from 0.
func (r *run) tenth(n int, of func(sample) float64) float64 {
	var values []float64
	for _, s := range r.samples[len(r.samples)*n/10 : max(len(r.samples)*(n+1)/10, len(r.samples)*n/10+1)] {
		values = append(values, of(s))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// fewest samples tell something.
const fewest = 20

// wantFlat compares the last tenth with the second.
func (r *run) wantFlat() {
	r.t.Helper()
	r.must(r.sampled())
	for _, m := range measures {
		before, after := r.tenth(1, m.of), r.tenth(9, m.of)
		most := before*(1+m.part) + m.constant(len(r.targets))
		if m.swings {
			if fell, ok := r.fell(m.of); ok {
				after = fell
			} else if r.put.Load() > untrimmed { // long enough to rise, and not to fall
				most += untrimmed
			}
		}
		if after > most {
			r.t.Errorf("%s: %.1f in the end, %.1f in the second tenth; at most %.1f would be flat", m.name, after, before, most)
		}
	}
}

// fell is to what something fell last by half of what it may rise, if it did.
func (r *run) fell(of func(sample) float64) (to float64, ok bool) {
	for i, s := range r.samples[1:] {
		if of(s) < of(r.samples[i])-untrimmed/2 {
			to, ok = of(s), true
		}
	}
	return to, ok
}

// report prints the table and draws the plot.
func (r *run) report(where string, before, after sample) {
	r.t.Helper()
	var out strings.Builder
	total := r.samples[len(r.samples)-1].at
	fmt.Fprintf(&out, "%s\n%d changes over %d pods in %s, %.0f a second; %d containers restarted, %d pods replaced\n",
		where, r.put.Load(), len(r.targets), total.Round(time.Second), float64(r.put.Load())/total.Seconds(), r.restarted, r.replaced)
	fmt.Fprintf(&out, "which came to %d renders, %d checks, %d commits, %d proofs\n\n", after.phases["render"], after.phases["check"], after.phases["commit"], after.phases["prove"])
	w := tabwriter.NewWriter(&out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "median of\tSECOND TENTH\tLAST TENTH\tAT REST BEFORE\tAND AFTER")
	for _, m := range measures {
		unit, format := m.unit, "%s\t%.1f\t%.1f\t%.1f\t%.1f\n"
		if unit == 0 {
			unit, format = 1, "%s\t%.0f\t%.0f\t%.0f\t%.0f\n"
		}
		fmt.Fprintf(w, format, m.name, r.tenth(1, m.of)/unit, r.tenth(9, m.of)/unit, m.of(before)/unit, m.of(after)/unit)
	}
	a, b := r.within(total/10, total/5), r.within(total*9/10, total)
	fmt.Fprintf(w, "put to container, median of %d and %d\t%s\t%s\n", len(a), len(b), at(a, 0.5), at(b, 0.5))
	fmt.Fprintf(w, "its P95\t%s\t%s\n", at(a, 0.95), at(b, 0.95))
	r.must(w.Flush())
	r.t.Log("\n" + out.String())
	r.draw(where)
}

// within are the latencies of a part of the run, sorted.
func (r *run) within(from, to time.Duration) (out []time.Duration) {
	for _, l := range r.took {
		if l.at >= from && l.at < to {
			out = append(out, l.took)
		}
	}
	slices.Sort(out)
	return out
}

func at(sorted []time.Duration, part float64) string {
	if len(sorted) == 0 {
		return "none"
	}
	return fmt.Sprintf("%.1f ms", 1000*sorted[int(part*float64(len(sorted)-1))].Seconds())
}

// draw plots what was held against the changes: level lines, if all is well.
func (r *run) draw(where string) {
	r.t.Helper()
	if *svg == "" {
		return
	}
	p := &plot.Plot{Title: fmt.Sprintf("What the agent holds over %d changes, %d pods", r.put.Load(), len(r.targets)), Caption: where, X: "changes", Y: "MB, or how many", Linear: true}
	const points = 60
	for _, m := range measures {
		s := plot.Series{Name: m.name}
		unit := m.unit
		if unit == 0 {
			unit = 1
		}
		for i := 0; i < len(r.samples); i += len(r.samples)/points + 1 {
			s.Points = append(s.Points, plot.Point{X: float64(r.samples[i].changes), Y: m.of(r.samples[i]) / unit})
		}
		p.Series = append(p.Series, s)
	}
	r.must(os.MkdirAll(filepath.Dir(*svg), 0o755))
	f, err := os.Create(*svg)
	r.must(err)
	_, err = p.WriteTo(f)
	r.must(err)
	r.must(f.Close())
}

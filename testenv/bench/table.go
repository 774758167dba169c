package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/podreload/podreload/testenv"
)

// The goals that are marked in the table.
const (
	maxCrossing = 3 * time.Millisecond
	maxThere    = 500 * time.Microsecond // without the file's write and rename
	maxArrival  = 2 * time.Millisecond
	lateArrival = 10 * time.Millisecond // of 99 in 100
	minSpeedup  = 10
	maxShim     = 2 << 20
)

// table writes what was measured. The first way is the one that the others are
// compared with.
func table(ctx context.Context, out io.Writer, s *scene, n int, load string) error {
	after, err := s.daemon.memory()
	if err != nil {
		return err
	}
	of, err := s.daemon.phases(ctx)
	if err != nil {
		return err
	}
	program, err := os.Stat("bin/podreload-shim")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%s, %s, N = %d; load average %s before, %s after\n\n",
		time.Now().Format(time.DateOnly), testenv.Machine(), n, load, testenv.LoadAverage())
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "2.3 KB and a signal\tMEDIAN\tP10\tP95\tP99\tSIGNALLED\tRATIO\tGOAL")
	base := median(s.ways[0].done)
	arrival := ""
	for i, way := range s.ways {
		if way.do == nil {
			late, goal := quantile(way.signal, 0.99), ""
			if way.name == arrived {
				goal = mark("at most 2 ms, P99 10", median(way.signal) <= maxArrival && late <= lateArrival)
				total := mean(way.signal)
				arrival = fmt.Sprintf("%s, mean %s: %s", way.name, ms(total), parts(total, of.since(s.before)))
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t\t\t%s\n", way.name, spread(way.signal), ms(late), goal)
			continue
		}
		took := median(way.done)
		ratio := float64(took) / float64(base)
		goal := ""
		switch {
		case i == 0:
			goal = mark("at most 3 ms", took <= maxCrossing)
		case way.name == there:
			goal = mark("at most 0.5 ms", took <= maxThere)
		case strings.Contains(way.name, "Task.Exec"):
			goal = mark("at least 10x", ratio >= minSpeedup)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%.2f\t%s\n", way.name, spread(way.done), ms(quantile(way.done, 0.99)), ms(median(way.signal)), ratio, goal)
	}
	if confdProgram() == "" {
		fmt.Fprintln(w, "the same by confd inside\tonly with CONFD=path")
	}
	fmt.Fprintf(w, "podreload-shim's size\t%s\t\t\t\t\t\t%s\n", mb(program.Size()), mark("at most 2 MB", program.Size() <= maxShim))
	fmt.Fprintf(w, "the daemon and its waiting shim at rest, %d targets\t%s RSS, %s PSS\n", targets, mb(s.rest.rss), mb(s.rest.pss))
	fmt.Fprintf(w, "the same after this run\t%s RSS, %s PSS\n", mb(after.rss), mb(after.pss))
	if err := w.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, arrival)
	return err
}

func mark(goal string, met bool) string {
	if met {
		return goal + ": met"
	}
	return goal + ": NOT met"
}

func ms(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000)
}

// spread are the cells MEDIAN, P10 and P95 of a table.
func spread(samples []time.Duration) string {
	return ms(median(samples)) + "\t" + ms(quantile(samples, 0.1)) + "\t" + ms(quantile(samples, 0.95))
}

func mb(n int64) string { return fmt.Sprintf("%.2f MB", float64(n)/(1<<20)) }

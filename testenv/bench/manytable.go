package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/podreload/podreload/testenv"
	"github.com/podreload/podreload/testenv/plot"
)

// maxOverhead is the goal: how much longer than bare signals a change may take that nothing
// new has to be tried for.
const maxOverhead = 1.3

// confdEach is what confd and its fork keep resident in each pod that they are put into, in MiB: measured
// after their first render of one key. It stands in for a confd that is not given.
const confdEach = "26 to 29"

func (r result) table(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintf(w, "\none change, %d pods\tSIGNALLED\tDONE\tP95\tRATIO\tNGINX'S CPU\tITS OWN\tA POD\tMACHINE\tPSS\tGOAL\n", r.pods)
	floor := r.efforts[0]
	for i, e := range r.efforts {
		ratio, goal, pss := e.times(floor), "", ""
		if i == 1 || i == 2 {
			goal = mark(fmt.Sprintf("at most %.1f", maxOverhead), ratio <= maxOverhead)
		}
		if e.memory != nil {
			pss = mb(e.stays.pss)
		}
		rounds := time.Duration(len(e.done))
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%.2f\t%s\t%s\t%s\t%s\t%s\t%s\n", e.name, ms(median(e.told)), ms(median(e.done)), ms(quantile(e.done, 0.95)), ratio,
			ms(e.nginx/rounds), ms(e.mine/rounds), ms(e.perPod(r.pods)), ms(e.whole/rounds), pss, goal)
	}
	if confdProgram() == "" {
		fmt.Fprintf(w, "confd in each: only with CONFD=path\t\t\t\t\t\t\t\t\t%s MiB a pod\n", confdEach)
	}
	return w.Flush()
}

// times is how much longer it took than the floor.
func (e effort) times(floor effort) float64 {
	return float64(median(e.done)) / float64(median(floor.done))
}

// perPod is its own processor time for one change of one pod.
func (e effort) perPod(pods int) time.Duration { return e.mine / time.Duration(len(e.done)*pods) }

// manyPlots draws how long it takes and what it costs by the number of pods.
func manyPlots(dir string, all []result) error {
	if dir == "" {
		return nil
	}
	where := fmt.Sprintf("%s, %s; load average %s to %s; medians of %d", time.Now().Format(time.DateOnly), testenv.Machine(), all[0].load, testenv.LoadAverage(), manyRounds)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	took := draw(filepath.Join(dir, "many.svg"), "One change in many pods of nginx, until the last is reloaded", "ms", where, all,
		func(e effort, _ int) float64 { return median(e.done).Seconds() * 1000 })
	cost := draw(filepath.Join(dir, "many-cpu.svg"), "What brings the change, without nginx's own work", "processor time a pod, ms", where, all,
		func(e effort, pods int) float64 { return e.perPod(pods).Seconds() * 1000 })
	return errors.Join(took, cost)
}

func draw(file, title, y, where string, all []result, of func(e effort, pods int) float64) error {
	p := plot.Plot{Title: title, Caption: where, X: "pods", Y: y}
	for i, e := range all[0].efforts {
		s := plot.Series{Name: strings.TrimSpace(e.name)}
		for _, r := range all {
			s.Points = append(s.Points, plot.Point{X: float64(r.pods), Y: of(r.efforts[i], r.pods)})
		}
		p.Series = append(p.Series, s)
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = p.WriteTo(f)
	return errors.Join(err, f.Close())
}

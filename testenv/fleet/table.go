package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/podreload/podreload/testenv/plot"
)

// far is how many agents the lines are drawn to.
const far = 10_000

// table writes what was measured, and the lines through it.
func (s *scene) table(out io.Writer, where string) error {
	fmt.Fprintf(out, "\n%s\n\n", where)
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "what\tAGENTS\tTOOK\tETCD CPU\tPROXY CPU\tBYTES\tCALLS\tAT ONCE\tSTREAMS\tWATCHES\tHALF\tP99")
	for _, r := range s.rows {
		name := r.what
		if r.proxied {
			name += ", by proxy"
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%s\t%s\n", name, r.agents, short(r.took), short(r.etcd), short(r.via), size(r.bytes),
			r.Calls, r.Peak, r.Streams, r.Watches, short(r.half), short(r.most))
	}
	fmt.Fprintf(w, "\nleast squares\tFIXED\tAN AGENT\tR²\t%d AGENTS, EXTRAPOLATED\n", far)
	for _, c := range s.curves() {
		a, b, r2 := line(c.points)
		fmt.Fprintf(w, "%s\t%s\t%s\t%.3f\t%s\n", c.name, c.show(a), c.show(b), r2, c.show(a+far*b))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out)
	return err
}

// curve is something that grows with the agents.
type curve struct {
	name   string
	points []plot.Point
	show   func(float64) string
	drawn  bool
}

func (s *scene) curves() []curve {
	seconds := func(v float64) string { return short(time.Duration(v * float64(time.Second))) }
	bytes := func(v float64) string { return size(int64(v)) }
	cpu := func(r row) float64 { return r.etcd.Seconds() }
	traffic := func(r row) float64 { return float64(r.bytes) }
	took := func(r row) float64 { return r.took.Seconds() }
	return []curve{
		{atStart + ": CPU", s.points(atStart, cpu), seconds, true},
		{atRest + ": CPU", s.points(atRest, cpu), seconds, true},
		{atRest + ": bytes", s.points(atRest, traffic), bytes, false},
		{atChange + ": CPU", s.points(atChange, cpu), seconds, true},
		{atChange + ": bytes", s.points(atChange, traffic), bytes, false},
		{atChange + ": until the last agent has it", s.points(atChange, took), seconds, false},
		{atRestart + ": CPU", s.points(atRestart, cpu), seconds, true},
		{atRestart + ": until all are fresh", s.points(atRestart, took), seconds, false},
	}
}

// points are those of one thing, without the proxy.
func (s *scene) points(what string, of func(row) float64) (out []plot.Point) {
	for _, r := range s.rows {
		if r.what == what && !r.proxied {
			out = append(out, plot.Point{X: float64(r.agents), Y: of(r)})
		}
	}
	return out
}

// line is the straight line of least squares, y = a + b x, and how well it fits.
func line(points []plot.Point) (a, b, r2 float64) {
	var n, x, y, xx, xy, yy float64
	for _, p := range points {
		n, x, y, xx, xy, yy = n+1, x+p.X, y+p.Y, xx+p.X*p.X, xy+p.X*p.Y, yy+p.Y*p.Y
	}
	width, height := n*xx-x*x, n*yy-y*y
	if width == 0 {
		return 0, 0, 0
	}
	b = (n*xy - x*y) / width
	a = (y - b*x) / n
	if height > 0 {
		r2 = (n*xy - x*y) * (n*xy - x*y) / (width * height)
	}
	return a, b, r2
}

// plot draws what the members' processors do.
func (s *scene) plot(file, where string) error {
	if file == "" {
		return nil
	}
	p := &plot.Plot{
		Title: "What a fleet costs an etcd of three members", Caption: where + ". Dashed: least squares, extrapolated.",
		X: "agents", Y: "processor time of the three members, s",
	}
	for _, c := range s.curves() {
		if !c.drawn {
			continue
		}
		a, b, _ := line(c.points)
		fit := plot.Series{Name: c.name, Dashed: true}
		for x := 1.0; x <= far; x *= 2 {
			fit.Points = append(fit.Points, plot.Point{X: x, Y: a + b*x})
		}
		fit.Points = append(fit.Points, plot.Point{X: far, Y: a + b*far})
		p.Series = append(p.Series, plot.Series{Name: strings.TrimSuffix(c.name, ": CPU"), Points: c.points}, fit)
	}
	for _, r := range s.rows {
		if r.proxied && (r.what == atRest || r.what == atChange) {
			p.Series = append(p.Series, plot.Series{Name: r.what + ", by proxy", Points: []plot.Point{{X: float64(r.agents), Y: r.etcd.Seconds()}}})
		}
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if _, err := p.WriteTo(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func short(d time.Duration) string {
	switch {
	case d == 0:
		return ""
	case d.Abs() < 10*time.Millisecond:
		return fmt.Sprintf("%.3g ms", d.Seconds()*1000)
	case d.Abs() < time.Second:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1000)
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

func size(n int64) string {
	switch {
	case n < 10<<10 && n > -10<<10:
		return fmt.Sprintf("%d B", n)
	case n < 10<<20:
		return fmt.Sprintf("%.0f kB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.0f MB", float64(n)/(1<<20))
}

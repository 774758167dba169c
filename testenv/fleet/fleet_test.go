package main

import (
	"context"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podreload/podreload/testenv"
	"github.com/podreload/podreload/testenv/plot"
)

// TestMain is what the children of a test begin with, as main is otherwise.
func TestMain(m *testing.M) {
	flag.Parse()
	if args := flag.Args(); len(args) > 1 {
		if err := child(context.Background(), args); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	testenv.Main(m)
}

// TestScene plays the whole benchmark with two agents. It judges no time, but that each thing
// is measured, and that who resumes is brought less.
func TestScene(t *testing.T) {
	dir := t.TempDir()
	m, err := startMembers(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	s := &scene{etcd: m, rest: 100 * time.Millisecond}
	defer func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := s.measureAll(t.Context(), []int{1, 2}, 1); err != nil {
		t.Fatal(err)
	}
	bytes := map[string]int64{}
	for _, r := range s.rows {
		if r.what == atRest && !r.proxied && (r.Streams != int64(r.agents) || r.Watches != 2*r.Streams) { // of two prefixes
			t.Errorf("%d agents have %d streams and %d watches", r.agents, r.Streams, r.Watches)
		}
		bytes[fmt.Sprintf("%s, %d, %v", r.what, r.agents, r.proxied)] = r.bytes
	}
	for _, want := range []string{
		atRest + ", 0, false", atStart + ", 1, false", atRest + ", 1, false", atChange + ", 2, false", atRestart + ", 2, false",
		rollFull + ", 2, false", rollResume + ", 2, false", atChange + ", 2, true", atRestart + ", 2, true", rollResume + ", 2, true",
	} {
		if bytes[want] <= 0 {
			t.Errorf("%s: %d bytes", want, bytes[want])
		}
	}
	all, less := bytes[rollFull+" (50000 keys), 1, false"], bytes[rollResume+" (50000 keys), 1, false"]
	if less <= 0 || all < 100*less {
		t.Errorf("with 50,000 keys who reads all is brought %d bytes, who resumes %d", all, less)
	}
	var out strings.Builder
	file := filepath.Join(dir, "plots", "fleet.svg")
	if err := s.table(&out, "here"); err != nil {
		t.Fatal(err)
	}
	if err := s.plot(file, "here"); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n < len(s.rows)+len(s.curves()) {
		t.Errorf("a table of %d lines for %d rows", n, len(s.rows))
	}
	if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), "</svg>") {
		t.Errorf("the plot: %d bytes, %v", len(text), err)
	}
}

func TestLine(t *testing.T) {
	for name, tt := range map[string]struct {
		points   []plot.Point
		a, b, r2 float64
	}{
		"straight": {[]plot.Point{{X: 0, Y: 1}, {X: 1, Y: 3}, {X: 10, Y: 21}}, 1, 2, 1},
		"level":    {[]plot.Point{{X: 0, Y: 5}, {X: 4, Y: 5}}, 5, 0, 0},
		"not":      {[]plot.Point{{X: 0, Y: 0}, {X: 1, Y: 1}, {X: 2, Y: 0}}, 1. / 3, 0, 0},
		"one":      {[]plot.Point{{X: 1, Y: 1}}, 0, 0, 0},
	} {
		a, b, r2 := line(tt.points)
		if math.Abs(a-tt.a)+math.Abs(b-tt.b)+math.Abs(r2-tt.r2) > 1e-9 {
			t.Errorf("%s: %v + %v x, %v; want %v + %v x, %v", name, a, b, r2, tt.a, tt.b, tt.r2)
		}
	}
}

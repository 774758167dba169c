package plot

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
)

// elements parses a picture and returns its elements by name.
func elements(t *testing.T, p *Plot) map[string][]map[string]string {
	t.Helper()
	var b strings.Builder
	n, err := p.WriteTo(&b)
	if err != nil || n != int64(b.Len()) {
		t.Fatalf("%d of %d bytes, %v", n, b.Len(), err)
	}
	out := map[string][]map[string]string{}
	for d := xml.NewDecoder(strings.NewReader(b.String())); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, b.String())
		}
		if e, ok := token.(xml.StartElement); ok {
			attrs := map[string]string{}
			for _, a := range e.Attr {
				attrs[a.Name.Local] = a.Value
			}
			out[e.Name.Local] = append(out[e.Name.Local], attrs)
		}
	}
}

// TestPlot: on logarithmic axes equal factors are equal distances, and what has no place is
// left out.
func TestPlot(t *testing.T) {
	p := &Plot{
		Title: `a < b & "c"`, Caption: "of a test", X: "agents", Y: "seconds",
		Series: []Series{
			{Name: "measured", Points: []Point{{100, 1}, {1, 0.01}, {10, 0.1}, {0, 5}, {5, 0}, {5, math.NaN()}, {math.Inf(1), 1}}},
			{Name: "fit", Dashed: true, Points: []Point{{1, 0.01}, {10_000, 100}}},
			{Name: "other", Points: []Point{{1, 3}}},
		},
	}
	got := elements(t, p)
	if n := len(got["circle"]); n != 4 {
		t.Fatalf("%d points, want 4", n)
	}
	place := func(i int, axis string) float64 {
		v, err := strconv.ParseFloat(got["circle"][i][axis], 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, axis := range []string{"cx", "cy"} {
		first, second := place(1, axis)-place(0, axis), place(2, axis)-place(1, axis)
		if math.Abs(first-second) > 0.2 || first == 0 {
			t.Errorf("%s: a factor of ten is %v and %v wide", axis, first, second)
		}
	}
	if lines := got["polyline"]; len(lines) != 3 || lines[1]["stroke-dasharray"] == "" ||
		lines[1]["stroke"] != lines[0]["stroke"] || lines[2]["stroke"] == lines[0]["stroke"] {
		t.Errorf("lines: %v", lines)
	}
}

// TestLinear: equal steps are equal distances, from 0.
func TestLinear(t *testing.T) {
	got := elements(t, &Plot{Linear: true, Series: []Series{{Points: []Point{{100, 1}, {200, 1}, {300, 10}}}}})
	var at []float64
	for _, c := range got["circle"] {
		v, err := strconv.ParseFloat(c["cx"], 64)
		if err != nil {
			t.Fatal(err)
		}
		at = append(at, v-left)
	}
	if math.Abs(at[1]-2*at[0]) > 0.2 || math.Abs(at[2]-3*at[0]) > 0.2 || at[0] <= 0 {
		t.Errorf("points at %v from the left", at)
	}
}

// TestAxis: an axis begins and ends with a tick, holds what it shows, and has some ticks and not
// too many.
func TestAxis(t *testing.T) {
	for _, linear := range []bool{false, true} {
		for _, low := range []float64{1e-4, 0.003, 1, 9.99, 10, 250, 99_999} {
			for _, factor := range []float64{1, 1.5, 25, 1000, 1e9} {
				a := axis{to: 1, linear: linear}
				a.hold(low)
				a.hold(low * factor)
				a.fit()
				ticks := a.ticks()
				if len(ticks) < 2 || len(ticks) > 12 {
					t.Errorf("%g to %g, linear %v: ticks %v", low, low*factor, linear, ticks)
				}
				for _, v := range []float64{low, low * factor} {
					if at := a.at(v); !(at >= -0.001 && at <= 1.001) {
						t.Errorf("%g to %g, linear %v: %g is at %g", low, low*factor, linear, v, at)
					}
				}
			}
		}
	}
}

func TestWrap(t *testing.T) {
	if got := wrap("one two  three", 7); len(got) != 2 || got[0] != "one two" || got[1] != "three" {
		t.Errorf("%q", got)
	}
}

// TestOnePoint: an axis that would have no length gets one.
func TestOnePoint(t *testing.T) {
	got := elements(t, &Plot{Series: []Series{{Points: []Point{{10, 1}}}}})
	if x := got["circle"][0]["cx"]; strings.Contains(x, "NaN") || strings.Contains(x, "Inf") {
		t.Errorf("the point is at %s", x)
	}
}

func TestNothing(t *testing.T) {
	if _, err := (&Plot{Title: "none", Series: []Series{{Points: []Point{{-1, 1}}}}}).WriteTo(io.Discard); err == nil {
		t.Error("nothing to draw: no error")
	}
}

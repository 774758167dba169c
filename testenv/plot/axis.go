package plot

import (
	"fmt"
	"math"
	"slices"
	"strconv"
)

// axis is one, between two of its ticks. It is logarithmic unless it is linear.
type axis struct {
	from, to  float64 // in the picture
	linear    bool
	low, high float64 // what it shows
	some      bool
}

func (a *axis) hold(v float64) {
	if !a.some {
		a.low, a.high, a.some = v, v, true
	}
	a.low, a.high = min(a.low, v), max(a.high, v)
}

// fit widens the axis to the next ticks, and gives it a length if it has none.
func (a *axis) fit() {
	if a.linear {
		step := up(a.high / 8)
		a.low, a.high = 0, step*math.Ceil(a.high/step)
		return
	}
	a.low, a.high = down(a.low), up(a.high)
	if a.low == a.high {
		a.high *= 10
	}
}

func (a *axis) at(v float64) float64 {
	part := v / a.high
	if !a.linear {
		part = math.Log(v/a.low) / math.Log(a.high/a.low)
	}
	return a.from + (a.to-a.from)*part
}

// ticks are so many that they can be told apart.
func (a *axis) ticks() (out []float64) {
	if a.linear {
		step := up(a.high / 8)
		for v := 0.0; v <= a.high*1.001; v += step {
			out = append(out, v)
		}
		return out
	}
	decades := math.Log10(a.high / a.low)
	within := []float64{1, 2, 5}
	if decades > 3 {
		within = within[:1]
	}
	skip := int(decades)/10 + 1
	first := int(math.Floor(math.Log10(a.low)))
	for e := first; math.Pow10(e) <= a.high*1.001; e += skip {
		for _, m := range within {
			if v := m * math.Pow10(e); v >= a.low*0.999 && v <= a.high*1.001 {
				out = append(out, v)
			}
		}
	}
	return out
}

// steps are what ticks go by: 1, 2 and 5 of each power of ten.
func steps(v float64) []float64 {
	p := math.Pow10(int(math.Floor(math.Log10(v))))
	return []float64{p, 2 * p, 5 * p, 10 * p}
}

// up is the next step that is not below v, and down the one that is not above.
func up(v float64) float64 {
	all := steps(v)
	return all[slices.IndexFunc(all, func(s float64) bool { return s >= v*0.999 })]
}

func down(v float64) float64 {
	all := steps(v)
	i := slices.IndexFunc(all, func(s float64) bool { return s > v*1.001 })
	if i < 0 {
		i = len(all)
	}
	return all[i-1]
}

func label(v float64) string {
	if v == 0 || v >= 1e-3 && v < 1e6 {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprintf("%.0e", v)
}

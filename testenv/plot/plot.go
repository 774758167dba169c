package plot

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// Plot is one picture. Both axes are logarithmic, so what is not above 0 is left out.
type Plot struct {
	Title, Caption string
	X, Y           string // what the axes show, with the unit
	Linear         bool   // the X axis is, from 0
	Series         []Series
}

// Series is one curve.
type Series struct {
	Name   string
	Points []Point
	Dashed bool // a fit, not what was measured: without its points, and the colour of the series before
}

// Point is one of them.
type Point struct{ X, Y float64 }

const (
	width, height            = 760, 480
	left, right, top, bottom = 76, 24, 44, 118 // what is around the axes
	legendRow                = 16
	captionRow               = 14
	captionLength            = 110 // characters in a row
)

var colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#8c6d00", "#000000", "#e69f00", "#7f7f7f"}

// WriteTo writes the picture. The error is the writer's, or that there is nothing to draw.
func (p *Plot) WriteTo(w io.Writer) (int64, error) {
	x, y, err := p.axes()
	if err != nil {
		return 0, err
	}
	rows := 0
	for _, s := range p.Series {
		if !s.Dashed {
			rows++
		}
	}
	var b strings.Builder
	draw := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	caption := wrap(p.Caption, captionLength)
	legend := height - bottom + 58
	below := legend + legendRow*((rows+1)/2) + captionRow/2
	whole := below + captionRow*len(caption)
	draw(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`, width, whole, width, whole)
	draw(`<rect width="100%%" height="100%%" fill="white"/>`)
	draw(`<text x="%d" y="24" font-size="15" font-weight="bold">%s</text>`, left, text(p.Title))
	for _, t := range x.ticks() {
		draw(`<path d="M%.1f %dV%d" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`, x.at(t), top, height-bottom, x.at(t), height-bottom+16, label(t))
	}
	for _, t := range y.ticks() {
		draw(`<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`, left, y.at(t), width-right, left-6, y.at(t)+4, label(t))
	}
	draw(`<path d="M%d %dV%dH%d" fill="none" stroke="black"/>`, left, top, height-bottom, width-right)
	draw(`<text x="%d" y="%d" text-anchor="middle">%s</text>`, (left+width-right)/2, height-bottom+36, text(p.X))
	draw(`<text transform="translate(18 %d) rotate(-90)" text-anchor="middle">%s</text>`, (top+height-bottom)/2, text(p.Y))
	n := -1
	for _, s := range p.Series {
		if !s.Dashed {
			n++
		}
		colour := colours[max(n, 0)%len(colours)]
		dash := ""
		if s.Dashed {
			dash = ` stroke-dasharray="5 4" stroke-opacity="0.7"`
		}
		var line []string
		for _, pt := range s.visible() {
			line = append(line, fmt.Sprintf("%.1f,%.1f", x.at(pt.X), y.at(pt.Y)))
			if !s.Dashed {
				draw(`<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"><title>%s: %g, %g</title></circle>`, x.at(pt.X), y.at(pt.Y), colour, text(s.Name), pt.X, pt.Y)
			}
		}
		draw(`<polyline points="%s" fill="none" stroke="%s" stroke-width="1.8"%s/>`, strings.Join(line, " "), colour, dash)
		if !s.Dashed {
			lx, ly := left+n%2*(width-left)/2, legend+n/2*legendRow
			draw(`<path d="M%d %dh18" stroke="%s" stroke-width="3"/><text x="%d" y="%d">%s</text>`, lx, ly-4, colour, lx+24, ly, text(s.Name))
		}
	}
	for i, line := range caption {
		draw(`<text x="%d" y="%d" font-size="10" fill="#444">%s</text>`, left, below+i*captionRow, text(line))
	}
	draw(`</svg>`)
	written, err := io.WriteString(w, b.String())
	return int64(written), err
}

// visible are the points that a logarithmic axis has a place for, from left to right.
func (s Series) visible() []Point {
	out := slices.DeleteFunc(slices.Clone(s.Points), func(p Point) bool {
		return !(p.X > 0 && p.Y > 0) || math.IsInf(p.X, 0) || math.IsInf(p.Y, 0)
	})
	slices.SortFunc(out, func(a, b Point) int { return int(math.Copysign(1, a.X-b.X)) })
	return out
}

// axes are those that hold every point.
func (p *Plot) axes() (x, y axis, err error) {
	x, y = axis{from: left, to: width - right, linear: p.Linear}, axis{from: height - bottom, to: top}
	any := false
	for _, s := range p.Series {
		for _, pt := range s.visible() {
			any = true
			x.hold(pt.X)
			y.hold(pt.Y)
		}
	}
	if !any {
		return x, y, fmt.Errorf("plot %q: no point above 0", p.Title)
	}
	x.fit()
	y.fit()
	return x, y, nil
}

// wrap cuts words into lines.
func wrap(s string, most int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(s) {
		if line != "" && len(line)+1+len(word) > most {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

func text(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes all
	return b.String()
}

// Package plot draws the benchmarks' curves as SVG: points, lines and dashed lines over
// two logarithmic axes, with a legend and a caption. It reads and measures nothing,
// starts nothing, and knows no other form of picture.
package plot

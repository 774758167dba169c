package template

import (
	"fmt"
	"reflect"
	"strings"
)

// didYouMean ends a message about an unknown word with the known word that is
// nearest to it, or with nothing when none is near.
func didYouMean(word string, known []string) string {
	const far = 3
	best, least := "", far
	for _, k := range known {
		if d := distance(strings.ToLower(word), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	if best == "" || least >= len(best) {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance is the number of letters to insert, delete, replace, or swap with
// their neighbour to make one word of the other (optimal string alignment). A
// word too long to be a slip counts as far away, so that the work is bounded.
func distance(a, b string) int {
	const longest = 64
	if len(a) > longest || len(b) > longest {
		return longest
	}
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}

// keysOf lists the TOML keys of a table by its struct's tags.
func keysOf(table any) []string {
	var keys []string
	for _, f := range reflect.VisibleFields(reflect.TypeOf(table)) {
		keys = append(keys, f.Tag.Get("toml"))
	}
	return keys
}

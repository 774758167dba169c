package check

import (
	"regexp"
	"slices"
	"strings"
)

// line is how servers name a line: after the path and a colon, in parentheses, or as
// apache does, before the path.
var (
	lineAfter  = regexp.MustCompile(`^["'\])]?[:(]\s?(\d{1,7})\b`)
	lineBefore = regexp.MustCompile(`\bline (\d{1,7}) of ["']?$`)
)

// shown is what may be shown of a command's output. With a sensitive file in the trial
// those are places alone: a server quotes what it does not understand. A place is a
// path that the trial itself has, since what only looks like one can be a secret.
func shown(t Trial, said string) string {
	if !t.sensitive() {
		return said
	}
	var places []string
	for text := range strings.Lines(said) {
		for _, f := range t.Files {
			i := strings.Index(text, f.Path)
			if i < 0 {
				continue
			}
			place := f.Path
			if m := lineAfter.FindStringSubmatch(text[i+len(f.Path):]); m != nil {
				place += ":" + m[1]
			} else if m := lineBefore.FindStringSubmatch(text[:i]); m != nil {
				place += ":" + m[1]
			}
			if !slices.Contains(places, place) {
				places = append(places, place)
			}
		}
	}
	if len(places) == 0 && said != "" {
		return "(what it said is not shown: the profile has a sensitive file)"
	}
	return strings.Join(places, "\n")
}

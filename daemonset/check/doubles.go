package check

import (
	"path/filepath"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// place is where the files of a volume are, whichever mount they are reached by.
type place struct{ device, path string }

func placeOf(points []mountPoint, path string) place {
	at := mountOf(points, path)
	return place{at.device, filepath.Join(at.root, strings.TrimPrefix(path, at.path))}
}

// doubles finds the mounts that show one directory, of which the container writes into one at least and
// the trial into some: they need one overlay for all, or the twin would see what is new in one of them
// and what is old in the others. By index; mounts that are not in it need nothing of the kind.
//
// Where one shows a folder of what another shows each has its own: the way from one to the other is the
// container's to bend, and the runtime would follow it.
func (v volumes) doubles(mounts []specs.Mount) (map[int]place, error) {
	if !slices.ContainsFunc(mounts, v.written) {
		return nil, nil // as mostly: no source need be looked at
	}
	type shown struct {
		by                []int // mounts
		writable, written bool
	}
	all := make(map[place]*shown)
	for i, m := range mounts {
		if !bound(m) {
			continue
		}
		from, err := v.look(m.Source)
		if outOfTime(err) {
			return nil, err
		}
		if err != nil || !from.dir { // what is wrong with a source shows when it is used
			continue
		}
		at := placeOf(v.points, from.real)
		if all[at] == nil {
			all[at] = &shown{}
		}
		s := all[at]
		s.by, s.writable, s.written = append(s.by, i), s.writable || !readOnly(m), s.written || v.written(m)
	}
	double := make(map[int]place)
	for at, s := range all {
		if len(s.by) > 1 && s.writable && s.written {
			for _, i := range s.by {
				double[i] = at
			}
		}
	}
	return double, nil
}

// written says whether the trial writes below a mount.
func (v volumes) written(m specs.Mount) bool {
	return slices.ContainsFunc(v.files, func(path string) bool { return below(path, m.Destination) })
}

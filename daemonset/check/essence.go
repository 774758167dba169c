package check

import (
	"crypto/sha256"
	"slices"
	"sync"
)

// essence is what trials that run nothing need of a target's spec.
type essence struct {
	cgroup string            // cgroupsPath
	args   []string          // what the container is started as
	common [sha256.Size]byte // of what equal containers have in common: see keyOf
}

// essences are those of specs that were read before, by their bytes: to take one apart and put it together
// again takes most of the time of a check that is remembered, and containers keep theirs for life.
type essences struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]essence
}

// maxEssences is more than the containers of a node. Where there are more after all, all begins anew.
const maxEssences = 4096

func (e *essences) of(spec []byte) (essence, error) {
	sum := sha256.Sum256(spec)
	e.mu.Lock()
	known, ok := e.known[sum]
	e.mu.Unlock()
	if ok {
		return known, nil
	}
	found, err := newEssence(spec)
	if err != nil {
		return essence{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.known) >= maxEssences || e.known == nil {
		e.known = map[[sha256.Size]byte]essence{}
	}
	e.known[sum] = found
	return found, nil
}

// newEssence leaves of a spec what a verdict depends on: all less what tells one replica from another.
func newEssence(text []byte) (essence, error) {
	spec, err := parseSpec(text)
	if err != nil {
		return essence{}, err
	}
	mounts := slices.Clone(spec.Mounts)
	for i := range mounts {
		mounts[i].Source = ""
		mounts[i].UIDMappings, mounts[i].GIDMappings = unplaced(mounts[i].UIDMappings), unplaced(mounts[i].GIDMappings)
	}
	common, err := twinSpec(text, change{mounts: mounts})
	if err != nil {
		return essence{}, err
	}
	if common, err = nameless(common); err != nil {
		return essence{}, err
	}
	return essence{cgroup: spec.Linux.CgroupsPath, args: spec.Process.Args, common: sha256.Sum256(common)}, nil
}

package verify

import (
	"fmt"
	"slices"
	"strings"
)

// sight is what one look saw of the workers.
type sight struct {
	old     []int // serve, and were there before
	born    int   // children of the executable that were not, whatever they are for
	fresh   int   // of those, the ones that serve
	passing int   // of those, the ones that were seen once only
	crashed int   // old workers that ended before a newer one was there
	failed  bool  // the master says that its last reload failed
}

// count sums up the last look.
func (pr *Proof) count() sight {
	s := sight{crashed: pr.crashed}
	for pid, c := range pr.children {
		switch {
		case !c.server:
		case c.role == worker && pr.stale(c):
			s.old = append(s.old, pid)
		case c.old:
		case c.role == worker:
			s.born++
			s.fresh++
			if c.served < 2 {
				s.passing++
			}
		default:
			s.born++
		}
	}
	slices.Sort(s.old)
	return s
}

func (s sight) proved() bool {
	return len(s.old) == 0 && s.crashed == 0 && s.fresh > 0 && s.passing == 0
}

// hopeful reports whether it can still become a proof though the master is done:
// workers change their titles in their own time.
func (s sight) hopeful() bool { return s.born > 0 && s.crashed == 0 }

// notTaken puts into words why that is no proof.
func (pr *Proof) notTaken(s sight, m mask) error {
	name, master := pr.preset.Name, pr.master.Pid()
	var what string
	switch {
	case m.pending:
		what = fmt.Sprintf("%s (process %d) has not come to the signal yet: it is busy or stopped", name, master)
	case s.crashed > 0:
		what = fmt.Sprintf("%d of its old workers ended before a new one was there: they crashed; see the container's log", s.crashed)
	case m.blocked && s.fresh == 0:
		what = fmt.Sprintf("%s (process %d) is still at work on it", name, master)
	case s.failed:
		what = fmt.Sprintf("its new workers are of a reload before this one, which failed: %s kept that configuration; see the container's log", name)
	case len(s.old) > 0 && s.fresh == 0:
		what = fmt.Sprintf("the same %s still run: %s kept its old configuration; see the container's log",
			workers(s.old), name)
		if !pr.preset.Blocks { // so that it may be at work still
			what = fmt.Sprintf("the same %s still run; see the container's log", workers(s.old))
		}
	case len(s.old) > 0:
		what = fmt.Sprintf("%d new workers run beside the old %s, which neither end nor drain; see the container's log",
			s.fresh, workers(s.old))
	case s.fresh == 0 && s.born > 0 && pr.preset.Listens != 0:
		what = "its new worker does not listen; see the container's log"
	case s.fresh == 0:
		what = "no worker runs; see the container's log"
	default:
		what = "its new workers keep ending; see the container's log"
	}
	if pr.blind && !m.pending && !s.failed && s.crashed == 0 && len(s.old) > 0 && s.fresh == 0 {
		return fmt.Errorf("%w that was under way: %s", ErrUnsure, what)
	}
	return fmt.Errorf("%w: %s", ErrNotTaken, what)
}

func workers(pids []int) string {
	words := make([]string, 0, 8)
	for _, pid := range pids[:min(len(pids), cap(words))] {
		words = append(words, fmt.Sprint(pid))
	}
	if len(pids) > len(words) {
		words = append(words, "…")
	}
	if len(pids) == 1 {
		return "worker (process " + words[0] + ")"
	}
	return fmt.Sprintf("%d workers (processes %s)", len(pids), strings.Join(words, ", "))
}

package verify

import (
	"fmt"
	"strings"
	"time"

	"github.com/podreload/podreload/nsenter"
)

// ready says whether a reload of this master would show.
func (pr *Proof) ready() error {
	master := pr.master.Pid()
	serving, idle, next := 0, 0, 0
	for pid, c := range pr.children {
		switch {
		case !c.server:
		case c.role == worker && (c.current || !pr.preset.Pipes):
			serving++
		case c.role == draining:
			idle++
		case c.role == helper && pr.preset.Master != "" && pr.leads(pid):
			next = pid
		}
	}
	if peak := pr.preset.Peak(serving); peak > MaxChildren {
		return fmt.Errorf("%w: process %d has %d workers, and a reload makes that %d, of which %d can be watched",
			ErrUnprovable, master, serving, peak, MaxChildren)
	}
	if serving > 0 && next == 0 {
		return nil
	}
	if idle > 0 && pr.preset.Listens != 0 && pr.preset.Blocks && !pr.busy {
		return nil // its configuration has it listen on nothing, which a reload can mend
	}
	if pr.preset.Master == "" {
		return fmt.Errorf("%w: process %d has no worker: it starts, reloads or ends, or is run without any (%s); see the container's log",
			ErrNoServer, master, pr.preset.Alone)
	}
	title, err := readTitle(master)
	if gone := pr.master.Alive(); gone != nil { // so what was read is its own
		return gone
	}
	if err != nil {
		return err
	}
	titled := strings.HasPrefix(title, pr.preset.Master)
	switch {
	case next != 0 && !titled:
		return fmt.Errorf("%w: process %d gives way to process %d, which goes to the background", ErrNoServer, master, next)
	case next != 0:
		// nginx's old master starts workers on HUP then, but of its old
		// configuration (ngx_process_cycle.c, ngx_new_binary).
		return fmt.Errorf("%w: process %d is being upgraded to process %d, both serve, and the old one cannot reload: "+
			"end the old one (QUIT) or the new one (TERM)", ErrAmbiguous, master, next)
	case titled && pr.barren():
		return nil // whoever runs after a reload is new
	case titled:
		return fmt.Errorf("%w: process %d has no worker: it starts or ends, or its workers cannot run; see the container's log",
			ErrNoServer, master)
	}
	return fmt.Errorf("%w: process %d works alone, without workers that a reload would replace (%s)",
		ErrUnprovable, master, pr.preset.Alone)
}

// barren tells a master whose workers could not run, and which starts no others, from one that starts or ends: it
// sleeps, without a child of the executable, and still does so after a while.
func (pr *Proof) barren() bool {
	if !pr.preset.Blocks || !pr.rests() {
		return false
	}
	time.Sleep(settled)
	return pr.look() == nil && pr.rests()
}

// rests says that the master sleeps, and had no child of the executable at the last look.
func (pr *Proof) rests() bool {
	m, err := readMask(pr.master.Pid(), pr.preset.Signal)
	if err != nil || !m.idle() {
		return false
	}
	for _, c := range pr.children {
		if c.server {
			return false
		}
	}
	return true
}

// leads reports whether a child is itself a master: the new binary of an upgrade
// (USR2), or the server of a process that goes to the background. A worker has
// no children that run the executable.
func (pr *Proof) leads(pid int) bool {
	children, err := nsenter.Children(pid)
	if err != nil {
		return false
	}
	for _, grandchild := range children[:min(len(children), maxMatches)] {
		if pr.preset.runs(grandchild) {
			return true
		}
	}
	return false
}

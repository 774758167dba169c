package verify

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Preset describes a kind of server: how its master is found and how a reload
// of it shows. It is plain data.
type Preset struct {
	Name   string         // what a profile's `process` says
	Signal syscall.Signal // makes the master reload
	Exe    []string       // base names that the executable may have

	// How processes title themselves; prefixes, and only hints. An empty
	// Worker means that every child of the same executable is one; an empty
	// Draining, that workers end without saying so first.
	Master, Worker, Draining string

	// Blocks says that the master keeps Signal blocked but while it sleeps.
	// A master with the signal neither pending nor blocked is then known to
	// have finished with it.
	Blocks bool

	// Overlap is how long old and new workers run side by side at least; 0 where
	// that is not known.
	Overlap time.Duration
}

// presets is every server known, by name.
var presets = []Preset{{
	// The master cycle of nginx (src/os/unix/ngx_process_cycle.c) blocks its
	// signals and unblocks them in sigsuspend alone. On HUP it reads the
	// configuration, forks the new workers, sleeps 100 ms and only then asks
	// the old ones to quit. If the configuration is bad it keeps everything.
	Name:     "nginx",
	Signal:   syscall.SIGHUP,
	Exe:      []string{"nginx", "nginx-debug"},
	Master:   "nginx: master process",
	Worker:   "nginx: worker process",
	Draining: "nginx: worker process is shutting down",
	Blocks:   true,
	Overlap:  100 * time.Millisecond,
}}

// Presets returns the names of all presets.
func Presets() []string {
	names := make([]string, len(presets))
	for i, p := range presets {
		names[i] = p.Name
	}
	return names
}

// Lookup returns the preset of that name. The error wraps [ErrUnknownPreset]
// and lists the known ones.
func Lookup(name string) (Preset, error) {
	for _, p := range presets {
		if p.Name == name {
			return p, nil
		}
	}
	return Preset{}, fmt.Errorf("%w %q: use one of %s", ErrUnknownPreset, name, strings.Join(Presets(), ", "))
}

// matches reports whether exe, the target of /proc/PID/exe, is the preset's. The
// kernel appends " (deleted)" once the file was replaced, as by an upgrade.
func (p Preset) matches(exe string) bool {
	return slices.Contains(p.Exe, path.Base(strings.TrimSuffix(exe, " (deleted)")))
}

// role is what a child of the master is for, as its title tells.
type role int

const (
	helper   role = iota // a cache manager, or a child that has not titled itself yet
	worker               // serves requests
	draining             // finishes its requests and ends
)

func (p Preset) role(title string) role {
	switch {
	case p.Draining != "" && strings.HasPrefix(title, p.Draining):
		return draining
	case strings.HasPrefix(title, p.Worker):
		return worker
	}
	return helper
}

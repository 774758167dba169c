package verify

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/podreload/podreload/daemonset"
)

// Preset describes a kind of server: how its master is found, how a
// configuration is tried, and how a reload shows. It is plain data.
type Preset struct {
	Name   string         // what a profile's `process` says
	Signal syscall.Signal // makes the master reload
	Exe    []string       // base names that the executable may have

	// Success is what shows a reload, one of daemonset's words. After is for
	// daemonset.SuccessAlive.
	Success string
	After   time.Duration

	// How processes title themselves; prefixes, and only hints. An empty
	// Worker means that every child of the same executable is one; an empty
	// Draining, that workers end without saying so first.
	Master, Worker, Draining string

	// Listens is on what workers listen, for servers whose titles say nothing:
	// a worker is then a child that does, and one that listens on nothing
	// drains.
	Listens sockets

	// Pipes says that the master opens a pipe for each generation of workers,
	// after it has read the configuration: only who has one that it did not have
	// before runs what is new. What has not slept yet is no worker there: it may
	// become a helper.
	Pipes bool

	// Blocks says that the master keeps Signal blocked but while it sleeps.
	// A master with the signal neither pending nor blocked is then known to
	// have finished with it.
	Blocks bool

	// Processes is the variable of the master's environment in which it hands on
	// what it knows of its processes when it executes itself, as haproxy does. It says
	// how the last reload ended where Waits is set, too: the master has executed itself after that.
	Processes, Waits string

	// Overlap is how long old and new workers run side by side at least; 0 where
	// that is not known. The end of an old worker then tells nothing.
	Overlap time.Duration

	// Alone is how the server is run when it has no workers and cannot be
	// proved to reload.
	Alone string

	// Check follows the executable to try a configuration; empty: the server
	// has no such thing. Options says which of the master's own arguments the
	// trial needs too.
	Check   []string
	Options Options

	// Mandatory says that the master ends when it reloads a bad configuration.
	// It must never be signalled unchecked, and a check that passed is not
	// remembered.
	Mandatory bool
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
	Success:  daemonset.SuccessChildren,
	Master:   "nginx: master process",
	Worker:   "nginx: worker process",
	Draining: "nginx: worker process is shutting down",
	Blocks:   true,
	Overlap:  100 * time.Millisecond,
	Alone:    "master_process off",
	Check:    []string{"-t"},
	Options:  Options{Joined: true, Valued: "cegps", Config: "cegp"},
}, {
	// The master of haproxy -W (src/mworker.c) blocks all signals, executes
	// itself, reads the configuration, binds or takes over its sockets, forks
	// the worker, and executes itself once more to wait: the same process all
	// along. The new worker asks the old one to finish, which closes its
	// listening sockets at once. If the configuration is bad the master
	// executes itself to wait as well, and the old worker goes on.
	Name:      "haproxy",
	Signal:    syscall.SIGUSR2,
	Exe:       []string{"haproxy"},
	Success:   daemonset.SuccessChildren,
	Listens:   overTCP | overUnix,
	Blocks:    true,
	Processes: "HAPROXY_PROCESSES",
	Waits:     "HAPROXY_MWORKER_WAIT_ONLY",
	Alone:     "without -W",
	Check:     []string{"-c"},
	Options:   Options{Valued: "CLNSfmnpx", Config: "CLf", Words: []string{"-dr", "-dW"}, Rest: true, Env: true, Own: "HAPROXY_"},
}, {
	// The parent of apache (server/main.c, server/mpm) tells its children to
	// finish, whereupon they close their listening sockets, and then reads the
	// configuration: if it is bad the parent ends, and with it the container.
	// Old children are replaced as they end, and after a second in any case. As
	// it still makes children of the old configuration until it comes to the
	// signal, being new proves nothing: but with the configuration it opens
	// another pipe, through which the next reload will tell children to finish
	// (open_logs of prefork, worker and event).
	// mod_cgid's helper is a child of the executable too, but listens on a
	// unix socket alone, on which no worker does. It has the pipe and the
	// listening sockets of its parent as any child, until it closes the latter
	// first of all (cgid_server of mod_cgid.c): before it has ever slept.
	Name:      "apache",
	Signal:    syscall.SIGUSR1,
	Exe:       []string{"apache2", "httpd"},
	Success:   daemonset.SuccessChildren,
	Listens:   overTCP,
	Pipes:     true,
	Alone:     "-X",
	Check:     []string{"-t"},
	Options:   Options{Joined: true, Valued: "CDEcdefkn", Config: "CDcdf", Env: true},
	Mandatory: true,
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

// Match makes a preset of a matcher. The error wraps [ErrBadMatcher] or
// [ErrBadSignal].
func Match(m daemonset.Matcher) (Preset, error) {
	signal, err := Signal(m.Signal)
	if err != nil {
		return Preset{}, err
	}
	if len(m.Exe) == 0 || slices.Contains(m.Exe, "") {
		return Preset{}, fmt.Errorf("%w: name its executable", ErrBadMatcher)
	}
	switch m.Success {
	case daemonset.SuccessChildren, daemonset.SuccessNone:
	case daemonset.SuccessAlive:
		if m.After <= 0 {
			return Preset{}, fmt.Errorf("%w: say after what time it still has to run", ErrBadMatcher)
		}
	default:
		return Preset{}, fmt.Errorf("%w: success %q: use %s, %s or %s", ErrBadMatcher, m.Success,
			daemonset.SuccessChildren, daemonset.SuccessAlive, daemonset.SuccessNone)
	}
	return Preset{Name: m.Exe[0], Signal: signal, Exe: m.Exe, Success: m.Success, After: m.After, Alone: "no child of the executable"}, nil
}

// Proves reports whether a reload of the server can be proved at all. Where it
// cannot, the files are in place and the signal is sent, and more is not known:
// [Preset.Before] refuses.
func (p Preset) Proves() bool { return p.Success != daemonset.SuccessNone }

// Peak is how many workers there are of so many that serve while they are replaced: as many again, but of apache, whose
// children have places in a scoreboard (ServerLimit) that old and new ones share.
func (p Preset) Peak(serving int) int {
	if p.Pipes {
		return serving
	}
	return 2 * serving
}

// Matches reports whether exe, the target of /proc/PID/exe, is the preset's. The
// kernel appends " (deleted)" once the file was replaced, as by an upgrade.
func (p Preset) Matches(exe string) bool {
	return slices.Contains(p.Exe, path.Base(strings.TrimSuffix(exe, " (deleted)")))
}

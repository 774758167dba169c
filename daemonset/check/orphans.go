package check

import (
	"context"
	"fmt"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/nsenter"
)

// inits are the inits of twins that this process is to reap itself, for their exit
// status. They are the process's and not a Checker's, as the children are.
var inits = struct {
	births sync.RWMutex // read-locked from before an init is made until it is in pids, or not made
	mu     sync.Mutex
	pids   map[int]bool
}{pids: map[int]bool{}}

// adopt says that somebody reaps the init; disown that it is done.
func adopt(pid int) {
	inits.mu.Lock()
	defer inits.mu.Unlock()
	inits.pids[pid] = true
}

func disown(pid int) {
	inits.mu.Lock()
	defer inits.mu.Unlock()
	delete(inits.pids, pid)
}

// collect reaps the inits that nobody has made it as far as to wait for: when a runtime
// is killed half way, what it was making becomes this process's child, in a session of
// its own. It returns how many have not ended yet.
//
// What is collected is a child that is the init of a PID namespace. This process starts
// none such but by a runtime.
func collect() (left int, err error) {
	if !inits.births.TryLock() {
		return 0, nil // one that is being made looks the same; whoever makes it collects too
	}
	defer inits.births.Unlock()
	children, err := nsenter.Children(os.Getpid())
	if err != nil {
		return 0, err
	}
	inits.mu.Lock()
	defer inits.mu.Unlock()
	for _, pid := range children {
		info, err := nsenter.ReadInfo(pid)
		if err != nil || info.NSPid != 1 || inits.pids[pid] {
			continue
		}
		if reaped, _ := unix.Wait4(pid, nil, unix.WNOHANG, nil); reaped != pid && (ofTwin(info.Cgroup) || info.Exiting) {
			left++
		}
	}
	return left, nil
}

// ofTwin goes by a living process's cgroup, the last element of which is a twin's id. With
// cgroup v1 one that is ending has none: whose it was is not to be seen any more.
func ofTwin(cgroup string) bool {
	for line := range strings.Lines(cgroup) {
		if strings.Contains(path.Base(strings.TrimSpace(line)), "podreload-") {
			return true
		}
	}
	return false
}

// collectAll is collect until there is nothing left to collect.
func collectAll(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		left, err := collect()
		if err != nil || left == 0 {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d processes hang that were killed; what filesystem do they wait for?", left)
		}
	}
}

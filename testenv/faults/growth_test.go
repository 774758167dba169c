package faults

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/podreload/podreload/nsenter"
)

// How many puts an agent handles before it is looked at, and between that and the second look. Each
// is an apply to every target.
const (
	warmUp = 3
	work   = 17
)

// wantNoGrowth has a fresh agent work, without faults and then with each that it lives through: what
// it holds at rest afterwards is what it held before.
func (r *rig) wantNoGrowth() {
	r.t.Helper()
	r.must(r.daemon.kill())
	r.must(r.startDaemon())
	r.apply(warmUp)
	before, threads := r.atRest(nil)
	r.apply(work)
	for _, v := range victims {
		if v.name == agentVictim {
			continue
		}
		// What it did for who is gone, and to come back to who is there again, it does not keep.
		r.events.add("at rest: %s", v.name)
		if err := r.recover(v); err != nil {
			r.t.Fatalf("%s: %v", v.name, err)
		}
	}
	after, threadsAfter := r.atRest(before)
	if !slices.Equal(before, after) {
		r.t.Errorf("the agent at rest holds after %d more applies and all that it lives through %d descriptors, before %d (-before +after):\n%s",
			work*len(r.targets), len(after), len(before), cmp.Diff(before, after))
	}
	// The Go runtime keeps threads, and may need one more at any time; a leak shows as one for each apply.
	if grown := threadsAfter - threads; grown > work {
		r.t.Errorf("the agent has %d threads, %d more than %d applies before", threadsAfter, grown, work*len(r.targets))
	}
}

func (r *rig) apply(puts int) {
	r.t.Helper()
	for range puts {
		r.settle()
	}
}

// atRest waits until the agent holds one shim, which waits, and then what is wanted, if anything is. It
// returns its descriptors by kind and the number of its threads.
func (r *rig) atRest(want []string) (held []string, threads int) {
	r.t.Helper()
	err := r.await("the agent is at rest", func() (err error) {
		held, threads, err = r.held()
		if err == nil && want != nil && !slices.Equal(held, want) {
			err = errors.New(strings.Join(held, "\n"))
		}
		return err
	})
	if err != nil && (want == nil || held == nil) {
		r.t.Fatal(err)
	}
	return held, threads
}

var number = regexp.MustCompile(`[0-9a-f]{6,}|[0-9]+`)

// held is what the agent has open, without numbers and ids, sorted; an error while it is at work.
func (r *rig) held() (kinds []string, threads int, err error) {
	pid := r.daemon.pid()
	children, err := nsenter.Children(pid)
	if err != nil {
		return nil, 0, err
	}
	for _, child := range children {
		info, err := nsenter.ReadInfo(child)
		if err != nil {
			return nil, 0, err
		}
		if len(children) > 1 || !isShim(child) || info.State == 'Z' {
			return nil, 0, fmt.Errorf("it has the children %v, among them %d (%s, state %c): %q", children, child, info.Comm, info.State, title(child))
		}
	}
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		return nil, 0, err
	}
	for _, fd := range fds {
		link, err := os.Readlink(fd)
		if err != nil {
			return nil, 0, err
		}
		if strings.Contains(link, "/run/locks/") {
			return nil, 0, fmt.Errorf("it holds the lock %s: an apply is under way", link)
		}
		kinds = append(kinds, number.ReplaceAllString(link, "N"))
	}
	slices.Sort(kinds)
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	return kinds, len(tasks), err
}

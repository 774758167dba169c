package pods

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types/task"
	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/core/sandbox"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/nsenter"
)

const (
	// callTimeout bounds one question about one container; containerd itself
	// gives a shim 2 s to answer.
	callTimeout = 10 * time.Second
	// listTimeout bounds a question about all of them: containerd asks one
	// shim after the other, and waits 2 s for each that hangs.
	listTimeout = time.Minute
)

var errNoAnswer = errors.New("its shim does not answer")

// inventory is what is known of the node's containers. The facts of an id
// never change, so they are read once; what changes is which of them run.
// It is not safe for concurrent use.
type inventory struct {
	node      string
	records   containers.Store
	tasks     tasks.TasksClient
	sandboxes sandbox.Store

	facts   map[string]*daemonset.Container // by id, without pid; nil for what is no pod's container
	boxes   map[string]podSandbox           // by sandbox id
	running map[string]initProcess          // by id, also of what is no pod's container
	trouble map[string]error                // by id of what is running or paused, or may be
	paused  map[string]bool                 // ids of what is frozen
}

func newInventory(client *containerd.Client, node string) *inventory {
	return &inventory{
		node:      node,
		records:   client.ContainerService(),
		tasks:     client.TaskService(),
		sandboxes: client.SandboxStore(),
		facts:     make(map[string]*daemonset.Container),
		boxes:     make(map[string]podSandbox),
		running:   make(map[string]initProcess),
		trouble:   make(map[string]error),
		paused:    make(map[string]bool),
	}
}

// containers returns the running containers, sorted. What a container's maps
// and slices hold is shared with the inventory.
func (v *inventory) containers() []daemonset.Container {
	list := make([]daemonset.Container, 0, len(v.running))
	for id, first := range v.running {
		if facts := v.facts[id]; facts != nil {
			c := *facts
			first.is(&c)
			c.Pod.Node = v.node
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b daemonset.Container) int {
		return cmp.Or(
			cmp.Compare(a.Pod.Namespace, b.Pod.Namespace),
			cmp.Compare(a.Pod.Name, b.Pod.Name),
			cmp.Compare(a.Name, b.Name),
			cmp.Compare(a.ID, b.ID),
		)
	})
	return list
}

// initProcess is a container's first process. When containerd says that it runs, it is asked when it
// started: a list of before may be all there is when its number is another's already.
type initProcess struct {
	pid   int
	start uint64 // 0: it has ended since
}

func initOf(pid int) initProcess {
	start, _ := nsenter.StartTime(pid)
	return initProcess{pid, start}
}

func (p initProcess) is(c *daemonset.Container) { c.Pid, c.StartTime = p.pid, p.start }

// err names the containers that could not be read, nil when there is none.
func (v *inventory) err() error {
	var all []error
	for _, id := range slices.Sorted(maps.Keys(v.trouble)) {
		name := id
		if facts := v.facts[id]; facts != nil {
			name = fmt.Sprintf("%s (%s)", facts, id)
		}
		all = append(all, fmt.Errorf("%w: %s: %w", ErrUnreadable, name, v.trouble[id]))
	}
	return errors.Join(all...)
}

// relist asks containerd what runs, in one call for all, and reads the facts
// of what it did not know.
func (v *inventory) relist(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	list, err := v.tasks.List(ctx, &tasks.ListTasksRequest{})
	if err != nil {
		return fmt.Errorf("list tasks: %w", err)
	}
	var records []containers.Container
	if len(v.facts) == 0 {
		if records, err = v.records.List(ctx); err != nil {
			return fmt.Errorf("list containers: %w", err)
		}
	}
	was := *v
	v.running, v.trouble, v.paused = make(map[string]initProcess), make(map[string]error), make(map[string]bool)
	seen := make(map[string]bool) // whether it answered
	for _, p := range list.Tasks {
		seen[p.ID] = p.Status != task.Status_UNKNOWN
		if p.Status == task.Status_RUNNING {
			v.running[p.ID] = initOf(int(p.Pid))
		}
		if frozen(p.Status) {
			v.paused[p.ID] = true
		}
	}
	v.askSilent(ctx, was, records, seen)
	v.learnAll(ctx, records)
	v.learnRest(ctx)
	v.forgetExcept(seen)
	return nil
}

// askSilent asks for what did not answer. A shim that is too slow makes its container UNKNOWN, or has it
// left out of the list: that alone does not mean that it is gone, nor, where it was not known before, that
// there is none. What stays silent is as it was before, and in trouble. The asking has half of the list's time.
func (v *inventory) askSilent(ctx context.Context, was inventory, records []containers.Container, seen map[string]bool) {
	silent := make(map[string]bool)
	for id := range was.running {
		silent[id] = true
	}
	for id := range was.paused {
		silent[id] = true
	}
	for id, err := range was.trouble {
		if errors.Is(err, errNoAnswer) {
			silent[id] = true
		}
	}
	for id := range seen {
		silent[id] = true
	}
	for _, record := range records {
		_, isSandbox := record.Extensions[sandboxExtension]
		_, isContainer := record.Extensions[containerExtension]
		if isSandbox || isContainer {
			silent[record.ID] = true
		}
	}
	maps.DeleteFunc(silent, func(id string, _ bool) bool { return seen[id] })
	ctx, cancel := context.WithTimeout(ctx, listTimeout/2)
	defer cancel()
	for id := range silent {
		// One that is UNKNOWN containerd has just waited for.
		if _, listed := seen[id]; !listed && v.refresh(ctx, id) == nil {
			continue
		}
		if process, ran := was.running[id]; ran {
			v.running[id] = process
		}
		if was.paused[id] {
			v.paused[id] = true
		}
		v.trouble[id] = errNoAnswer
	}
}

// refresh asks containerd about one task. An error says that nothing is known.
func (v *inventory) refresh(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	got, err := v.tasks.Get(ctx, &tasks.GetRequest{ContainerID: id})
	switch {
	case status.Code(err) == codes.NotFound:
		v.forget(id)
		return nil
	case err != nil:
		return fmt.Errorf("task %s: %w", id, err)
	}
	state := got.Process.GetStatus()
	if state == task.Status_UNKNOWN {
		return fmt.Errorf("task %s: %w", id, errNoAnswer)
	}
	delete(v.trouble, id)
	delete(v.paused, id)
	if state != task.Status_RUNNING {
		delete(v.running, id)
		if frozen(state) {
			v.paused[id] = true
		}
		return nil
	}
	v.running[id] = initOf(int(got.Process.Pid))
	if _, known := v.facts[id]; !known {
		v.learn(ctx, id)
	}
	return nil
}

// noAnswer tells a shim that does not answer from a containerd that does not.
func noAnswer(err error) bool {
	return errors.Is(err, errNoAnswer) || errors.Is(err, context.DeadlineExceeded) || status.Code(errors.Unwrap(err)) == codes.DeadlineExceeded
}

func frozen(s task.Status) bool { return s == task.Status_PAUSED || s == task.Status_PAUSING }

// learnAll reads the facts of what runs from the records of all.
func (v *inventory) learnAll(ctx context.Context, records []containers.Container) {
	var later []containers.Container
	for _, record := range records {
		_, isSandbox := record.Extensions[sandboxExtension]
		_, runs := v.running[record.ID]
		_, failed := v.trouble[record.ID]
		switch _, known := v.facts[record.ID]; {
		case known, !runs && !failed:
		case isSandbox:
			v.add(ctx, record)
		default: // refers to its sandbox
			later = append(later, record)
		}
	}
	for _, record := range later {
		v.add(ctx, record)
	}
}

// learnRest reads the facts of what is not known yet, each by itself.
func (v *inventory) learnRest(ctx context.Context) {
	var rest []string
	for id := range v.running {
		if _, failed := v.trouble[id]; !failed {
			rest = append(rest, id)
		}
	}
	for id, err := range v.trouble {
		if errors.Is(err, errNoAnswer) { // to name it
			rest = append(rest, id)
		}
	}
	for _, id := range rest {
		if _, known := v.facts[id]; !known {
			v.learn(ctx, id)
		}
	}
}

func (v *inventory) forget(id string) {
	delete(v.facts, id)
	delete(v.boxes, id)
	delete(v.running, id)
	delete(v.trouble, id)
	delete(v.paused, id)
}

// forgetExcept drops what containerd no longer has a task for.
func (v *inventory) forgetExcept(tasks map[string]bool) {
	used := make(map[string]bool)
	for id, facts := range v.facts {
		_, listed := tasks[id]
		_, runs := v.running[id]
		if !listed && !runs && !v.paused[id] && v.trouble[id] == nil {
			v.forget(id)
		} else if facts != nil {
			used[facts.Pod.SandboxID] = true
		}
	}
	for id := range v.boxes {
		if _, listed := tasks[id]; !listed && !used[id] {
			delete(v.boxes, id)
		}
	}
}

package pods

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/containerd/containerd/api/events"
	coreevents "github.com/containerd/containerd/v2/core/events"
	"github.com/containerd/typeurl/v2"

	"github.com/podreload/podreload/daemonset"
)

const (
	minRetry = 100 * time.Millisecond // while containerd is away
	maxRetry = 2 * time.Second

	// burst is how long events are gathered: a pod's end or start sends
	// several, and each says no more than "look at this id".
	burst = 2 * time.Millisecond
	// settle is when the list is asked for a second time after a subscription:
	// containerd does not say when a subscription has begun, so an event
	// between the first list and that moment would be missed.
	settle = time.Second
	// relistEvery is a safety net for events that got lost.
	relistEvery = 5 * time.Minute
)

// topics are the events after which a container runs or no longer does.
const topics = `^/tasks/(start|exit|delete|paused|resumed)$`

// Update is the set of running containers at one moment.
type Update struct {
	// Containers is the whole set, sorted as [Client.List] sorts it. It is the
	// receiver's own, but what its elements point to is shared and must not
	// be changed.
	Containers []daemonset.Container
	// Paused are the ids of those that are frozen, sorted: they do not run, and will.
	Paused []string
	// Unread are the ids of what could not be read, sorted: they may run.
	Unread []string
	// Err wraps [ErrAway] while containerd does not answer: Containers is then
	// the last set known. It wraps [ErrUnreadable] when only some containers
	// are missing or as last seen. Nil: all is well.
	Err error
}

// Watch calls notify with the set of running containers, at first and after
// each change of it or of the error, until ctx ends; it returns ctx's error.
// It survives restarts of containerd. The calls come one after the other from
// Watch's own goroutine, so notify must not take long.
func (c *Client) Watch(ctx context.Context, notify func(Update)) error {
	w := watch{client: c, inventory: newInventory(c.containerd, c.Node), notify: notify}
	delay := minRetry
	for {
		err := w.follow(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		w.publish(c.away(ctx, err))
		if w.listed {
			delay = minRetry
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(delay/2 + rand.N(delay/2)):
		}
		delay = min(2*delay, maxRetry)
	}
}

// watch is the state of one [Client.Watch].
type watch struct {
	client    *Client
	inventory *inventory
	notify    func(Update)
	last      *Update // what notify got
	listed    bool    // the connection at hand brought a list
}

// follow subscribes, lists, and then keeps the list true by events, until the
// stream of events or a call breaks.
func (w *watch) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	w.listed = false
	filter := fmt.Sprintf("namespace==%s,topic~=%s", strconv.Quote(w.client.namespace), strconv.Quote(topics))
	stream, broken := w.client.containerd.Subscribe(ctx, filter)
	defer func() {
		cancel()
		for range broken { // closed when the receiver has ended
		}
	}()

	relist := time.NewTimer(0)
	defer relist.Stop()
	next, soon := settle, settle
	var flush <-chan time.Time
	changed := make(map[string]bool)
	for {
		select {
		case err := <-broken:
			if err == nil {
				err = errors.New("the stream of events ended")
			}
			return err
		case event := <-stream:
			if id := changedID(event); id != "" {
				changed[id] = true
				if flush == nil {
					flush = time.After(burst)
				}
			}
		case <-flush:
			flush = nil
			troubles := len(w.inventory.trouble)
			for id := range changed {
				err := w.inventory.refresh(ctx, id)
				if noAnswer(err) {
					w.inventory.trouble[id] = errNoAnswer
				}
				if err != nil || len(w.inventory.trouble) > troubles {
					soon = settle
					relist.Reset(0)
				}
			}
			clear(changed)
			w.publish(w.inventory.err())
		case <-relist.C:
			began := time.Now()
			if err := w.inventory.relist(ctx); err != nil {
				return err
			}
			w.listed = true
			w.publish(w.inventory.err())
			if len(w.inventory.trouble) == 0 {
				soon = settle
			} else { // no event tells that it is over
				// Nor is anything else heard of while a list waits for shims that hang.
				next, soon = min(next, max(soon, 10*time.Since(began))), min(2*soon, relistEvery)
			}
			relist.Reset(next)
			next = relistEvery
		}
	}
}

// publish calls notify if there is anything new to tell.
func (w *watch) publish(err error) {
	update := Update{Containers: w.inventory.containers(), Paused: slices.Sorted(maps.Keys(w.inventory.paused)), Unread: slices.Sorted(maps.Keys(w.inventory.trouble)), Err: err}
	if w.last != nil && text(w.last.Err) == text(err) && slices.EqualFunc(w.last.Containers, update.Containers, same) && slices.Equal(w.last.Paused, update.Paused) {
		return
	}
	w.last = &update
	w.notify(Update{Containers: slices.Clone(update.Containers), Paused: update.Paused, Unread: update.Unread, Err: err})
}

// same compares what can change: the facts of an id stay.
func same(a, b daemonset.Container) bool {
	return a.ID == b.ID && a.SameInit(b)
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// changedID is the id of the container that an event tells of; empty for what
// tells of no container, such as the end of an exec (each probe sends one).
func changedID(envelope *coreevents.Envelope) string {
	if envelope == nil || envelope.Event == nil {
		return ""
	}
	event, err := typeurl.UnmarshalAny(envelope.Event)
	if err != nil {
		return ""
	}
	switch e := event.(type) {
	case *events.TaskExit:
		if e.ID != e.ContainerID {
			return ""
		}
		return e.ContainerID
	case *events.TaskDelete:
		if e.ID != "" && e.ID != e.ContainerID {
			return ""
		}
		return e.ContainerID
	case interface{ GetContainerID() string }: // start, paused, resumed
		return e.GetContainerID()
	}
	return ""
}

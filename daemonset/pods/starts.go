package pods

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/containerd/api/events"
	coreevents "github.com/containerd/containerd/v2/core/events"
	"github.com/containerd/errdefs"
	"github.com/containerd/typeurl/v2"

	"github.com/podreload/podreload/daemonset"
)

const (
	startWithin = 500 * time.Millisecond // unless Starts says otherwise

	// maxNRIRetry is between two tries to reach NRI, which may never be there.
	maxNRIRetry = 5 * time.Second

	// lasting is how long a connection holds that is not taken for one of many that fail.
	lasting = 10 * time.Second

	// maxCreated bounds how many containers are seen to at once after their events.
	maxCreated = 16
)

// ErrNoNRI says that containerd's NRI does not tell of containers before they start.
var ErrNoNRI = errors.New("no NRI")

// Starts tells of containers of pods that are made and do not run yet: their process is
// the runtime's, in the container's namespaces already.
type Starts struct {
	Client *Client
	Socket string // of containerd's NRI; empty: it is not asked

	// Within is how long a start is held up at most; 0: half a second, fifty times what it
	// takes. containerd gives a plugin 2 s, ends the connection then, and holds a lock
	// meanwhile in which all starts wait.
	Within time.Duration
}

// Watch calls starting with each, from several goroutines, until ctx ends; it returns ctx's
// error after the last call has returned. A start is held up until its call returns, but
// never for longer than the context that the call gets has time, and never kept from going
// on. Where there is no NRI it is told by containerd's events instead, and the container
// may run by then.
//
// It calls say, from several goroutines too, with nil when NRI has taken us, with what wraps [ErrNoNRI] when it does not
// tell of starts (any longer), once each, and with what went wrong with one container.
func (s Starts) Watch(ctx context.Context, starting func(context.Context, daemonset.Container), say func(error)) error {
	w := startsWatch{Starts: s, ctx: ctx, starting: starting, say: say}
	var loops sync.WaitGroup
	loops.Go(func() { w.events(ctx) })
	if s.Socket != "" {
		loops.Go(func() { w.plugin(ctx) })
	}
	<-ctx.Done()
	loops.Wait()
	w.mu.Lock()
	w.ended = true
	w.mu.Unlock()
	w.calls.Wait()
	return ctx.Err()
}

// startsWatch is one [Starts.Watch].
type startsWatch struct {
	Starts
	ctx      context.Context // Watch's
	starting func(context.Context, daemonset.Container)
	say      func(error)

	registered atomic.Bool

	mu    sync.Mutex
	ended bool
	calls sync.WaitGroup // begun with mu held, and not when ended
}

// plugin keeps us registered with NRI.
func (w *startsWatch) plugin(ctx context.Context) {
	n := nri{starting: w.hold}
	delay, said := minRetry, false
	for {
		begun := time.Now()
		err := n.serve(ctx, w.Socket, func() {
			w.registered.Store(true)
			said = false
			w.say(nil)
		})
		w.registered.Store(false)
		if ctx.Err() != nil {
			return
		}
		if !said {
			said = true
			w.say(fmt.Errorf("%w at %s: %w", ErrNoNRI, w.Socket, err))
		}
		if time.Since(begun) > lasting {
			delay = minRetry
		}
		if !after(ctx, delay/2+rand.N(delay/2)) {
			return
		}
		delay = min(2*delay, maxNRIRetry)
	}
}

// after waits, and answers false when ctx has ended.
func after(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// events keeps us subscribed to what containerd says of containers that are made.
func (w *startsWatch) events(ctx context.Context) {
	slots := make(chan struct{}, maxCreated)
	for {
		subscribed, cancel := context.WithCancel(ctx)
		stream, broken := w.Client.containerd.Subscribe(subscribed,
			fmt.Sprintf(`namespace==%s,topic=="/tasks/create"`, strconv.Quote(w.Client.namespace)))
		w.follow(ctx, stream, broken, slots)
		cancel()
		for range broken { // closed when the receiver has ended
		}
		if !after(ctx, maxRetry/2+rand.N(maxRetry/2)) {
			return
		}
	}
}

// follow takes events until the stream breaks. While NRI tells of starts they are of no use.
func (w *startsWatch) follow(ctx context.Context, stream <-chan *coreevents.Envelope, broken <-chan error, slots chan struct{}) {
	for {
		select {
		case <-broken:
			return
		case envelope := <-stream:
			id, pid := created(envelope)
			if id == "" || w.registered.Load() {
				continue
			}
			select {
			case slots <- struct{}{}:
				w.call(func() {
					defer func() { <-slots }()
					w.hold(ctx, id, pid)
				})
			default: // too many at once: it is seen to when it runs
			}
		}
	}
}

func created(envelope *coreevents.Envelope) (id string, pid int) {
	if envelope == nil || envelope.Event == nil {
		return "", 0
	}
	event, err := typeurl.UnmarshalAny(envelope.Event)
	if made, ok := event.(*events.TaskCreate); ok && err == nil {
		return made.ContainerID, int(made.Pid)
	}
	return "", 0
}

// call runs f in a goroutine that Watch waits for.
func (w *startsWatch) call(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ended {
		w.calls.Go(f)
	}
}

// hold makes the call for one container, and returns when it has or its time is over. A call
// that cannot be called off ends behind it: what it does to a container that runs by then
// is what it would do to any.
func (w *startsWatch) hold(request context.Context, id string, pid int) {
	// Not the request's own: it would hand on containerd's namespace, as NRI has it.
	ctx, cancel := context.WithTimeout(w.ctx, cmp.Or(w.Within, startWithin)) // ended by the call
	defer context.AfterFunc(request, cancel)()
	done := make(chan struct{})
	w.call(func() {
		defer close(done)
		defer cancel()
		defer func() {
			if p := recover(); p != nil {
				w.say(fmt.Errorf("container %s starts without its files: a mistake in podreload: %v\n%s", daemonset.ShortID(id), p, debug.Stack()))
			}
		}()
		switch c, err := w.container(ctx, id, pid); {
		case errdefs.IsNotFound(err): // of another namespace
		case err != nil:
			w.say(fmt.Errorf("container %s starts without its files: what it is cannot be read: %w", daemonset.ShortID(id), err))
		case c != nil:
			w.starting(ctx, *c)
		}
	})
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// container reads what containerd has of it, which is not what a plugin is told: the labels
// there are mixed with the image's. Nil for what is no pod's container.
func (w *startsWatch) container(ctx context.Context, id string, pid int) (*daemonset.Container, error) {
	v := newInventory(w.Client.containerd, w.Client.Node)
	record, err := v.records.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	data, ok := record.Extensions[containerExtension]
	if !ok {
		return nil, nil
	}
	c, err := v.describe(ctx, record, value(data))
	if err != nil {
		return nil, err
	}
	initOf(pid).is(&c)
	c.Pod.Node = v.node
	return &c, nil
}

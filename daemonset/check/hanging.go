package check

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// hanging are OCI runtimes that were killed and have not ended, and looks at volumes, by the container
// that they were to make a twin of: a filesystem of its volumes is dead. As long as one hangs there no
// other follows it.
type hanging struct {
	mu sync.Mutex
	of map[string]*hung
}

// hung are those of one container.
type hung struct {
	n    int
	gone chan struct{} // closed when n is 0
}

// add notes one, which is over when the result is called.
func (h *hanging) add(container string) (over func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.of == nil {
		h.of = make(map[string]*hung)
	}
	some := h.of[container]
	if some == nil {
		some = &hung{gone: make(chan struct{})}
		h.of[container] = some
	}
	some.n++
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if some.n--; some.n == 0 {
			delete(h.of, container)
			close(some.gone)
		}
	}
}

// none waits a moment until none hangs: most that are killed end at once.
func (h *hanging) none(ctx context.Context, container string) error {
	h.mu.Lock()
	some := h.of[container]
	h.mu.Unlock()
	if some == nil {
		return nil
	}
	moment := time.NewTimer(Turn)
	defer moment.Stop()
	select {
	case <-some.gone:
		return nil
	case <-moment.C:
		return fmt.Errorf("%w: what was begun for a check before this one has not ended; what filesystem does it wait for?", ErrDeadline)
	case <-ctx.Done():
		return ctx.Err()
	}
}

package check

import (
	"fmt"
	"sync"
)

// hanging are OCI runtimes that were killed and have not ended, by the container that they were to make a
// twin of: a filesystem of its volumes is dead. As long as one hangs there no other follows it.
type hanging struct {
	mu sync.Mutex
	of map[string]int
}

func (h *hanging) add(container string, n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.of == nil {
		h.of = make(map[string]int)
	}
	if h.of[container] += n; h.of[container] == 0 {
		delete(h.of, container)
	}
}

// none is an error if one hangs.
func (h *hanging) none(container string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.of[container] > 0 {
		return fmt.Errorf("%w: an OCI runtime that was killed has not ended; what filesystem does it wait for?", ErrDeadline)
	}
	return nil
}

package template

import (
	"fmt"
	"runtime"
	"runtime/metrics"
	"time"
)

// Each value that a function returns is bounded, but a template can hold many:
// a variable in each of a thousand calls. What they hold together cannot be
// counted, since text/template keeps it, so the heap is looked at. That is of the
// whole process, which is right for the purpose, and done only in renders that
// have run for a while, so that a plain one neither pays for it nor fails for
// what others hold.
const (
	maxHeld   = 128 << 20             // growth of the heap at which a render is stopped
	firstLook = 50 * time.Millisecond // after its beginning
	nextLook  = 10 * time.Millisecond
	afterGC   = 250 * time.Millisecond
)

// heap is how much memory objects take, dead ones that were not collected yet
// among them, and how much lived on at the last collection.
func heap() (objects, live uint64) {
	samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(samples)
	for i, n := range []*uint64{&objects, &live} {
		if samples[i].Value.Kind() == metrics.KindUint64 {
			*n = samples[i].Value.Uint64()
		}
	}
	return objects, live
}

// held is how the heap stood when a render was looked at first.
type held struct {
	limit uint64
	next  time.Time // when to look again
	base  uint64    // what lived then; 0 before
}

// look fails when the heap has grown by more than the limit and stays so after
// a collection.
func (h *held) look(now time.Time) error {
	h.next = now.Add(nextLook)
	objects, live := heap()
	if h.base == 0 {
		h.base = max(live, 1)
	}
	if objects < h.base+h.limit {
		return nil
	}
	runtime.GC()
	h.next = time.Now().Add(afterGC)
	if _, live = heap(); live < h.base+h.limit {
		return nil
	}
	return fmt.Errorf("%w: it holds more than %d MiB while it is rendered", ErrTooLarge, h.limit>>20)
}

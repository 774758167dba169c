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

const heapObjects = "/memory/classes/heap/objects:bytes"

func heapSize() uint64 {
	sample := []metrics.Sample{{Name: heapObjects}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return sample[0].Value.Uint64()
}

// held is how the heap stood when a render was looked at first.
type held struct {
	limit uint64
	next  time.Time // when to look again
	base  uint64
}

// look fails when the heap has grown by more than the limit and stays so after
// a collection.
func (h *held) look(now time.Time) error {
	h.next = now.Add(nextLook)
	size := heapSize()
	if h.base == 0 {
		h.base = size
	}
	if size < h.base+h.limit {
		return nil
	}
	runtime.GC()
	size = heapSize()
	h.next = time.Now().Add(afterGC)
	if h.base = min(h.base, size); size < h.base+h.limit {
		return nil
	}
	return fmt.Errorf("%w: it holds more than %d MiB while it is rendered", ErrTooLarge, h.limit>>20)
}

package source

import (
	"sync/atomic"
	"time"
)

const (
	// answerSize is what an answer should come to. For every page etcd counts
	// all the keys that are left, so pages of a few thousand small keys would
	// cost it more than the values (300,000 keys: 2.3 s in pages of 4096 and
	// 0.6 s so); and an answer is built as a whole in its memory and in ours,
	// so it must not grow with the values either.
	answerSize = 8 << 20
	// lateFactor is by how much answers shrink when one did not come in time. An etcd that
	// answers nothing must show after a call or two, not after ten halvings.
	lateFactor = 8
)

// pace is how many bytes an answer may have at present, so that it comes in the time of its
// call. All feeds of a client share it, as they share the link; and it outlives a read that
// failed, so that the next one asks for less.
type pace struct{ cut atomic.Int64 } // what is taken off answerSize

func (p *pace) size() int { return answerSize - int(p.cut.Load()) }

// late is told that an answer which was to have size bytes missed its deadline.
func (p *pace) late(size int) { p.change(size, max(1, size/lateFactor)) }

// came is told of an answer that took so long of the time limit. With much time to spare the next
// may be larger; but one that had much less than it was to have says nothing about that.
func (p *pace) came(size, bytes int, took, limit time.Duration) {
	if bytes >= size/2 && took < limit/lateFactor {
		p.change(size, min(2*size, answerSize))
	}
}

// change does nothing where another feed has learnt something since: several that miss
// their deadline in the same moment cut it once.
func (p *pace) change(from, to int) {
	p.cut.CompareAndSwap(int64(answerSize-from), int64(answerSize-to))
}

package source

import (
	"testing"
	"time"
)

// TestPace: what a slow moment has cut grows again as answers come in good time.
func TestPace(t *testing.T) {
	const limit = time.Second
	var p pace
	for range 3 {
		p.late(p.size())
	}
	if got := p.size(); got != answerSize/(8*8*8) {
		t.Errorf("after three deadlines an answer is to have %d bytes, want %d", got, answerSize/(8*8*8))
	}
	full := p.size()
	p.came(full, full, limit/4, limit)
	p.came(full, full/4, 0, limit)
	if got := p.size(); got != full {
		t.Errorf("after a slow answer and a small one they are to have %d bytes, want %d still", got, full)
	}
	for range 20 {
		p.came(p.size(), p.size(), limit/16, limit)
	}
	if got := p.size(); got != answerSize {
		t.Errorf("after many quick answers they are to have %d bytes, want %d", got, answerSize)
	}
	p.late(answerSize)
	p.late(answerSize) // that of another feed, which asked at the same time
	if got := p.size(); got != answerSize/8 {
		t.Errorf("after one slow moment of two feeds they are to have %d bytes, want %d", got, answerSize/8)
	}
}

package agent

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// share is how long a node holds back a change of a profile: the part of its splay that
// the names of both say. So a node keeps its place, a fleet is spread evenly, and
// not in the same order for each profile.
func share(node, profile string, splay time.Duration) time.Duration {
	sum := sha256.Sum256([]byte(node + "\x00" + profile))
	const parts = 1 << 16
	return splay / parts * time.Duration(binary.BigEndian.Uint16(sum[:]))
}

// splay waits for share; note is called when something changes meanwhile, which is not
// waited for anew. It returns false when ctx has ended.
func splay(ctx context.Context, changed <-chan struct{}, share time.Duration, note func()) bool {
	if share <= 0 {
		return true
	}
	over := time.NewTimer(share)
	defer over.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-changed:
			note()
		case <-over.C:
			return true
		}
	}
}

package source

import (
	"context"
	"time"
)

// proof is how a feed learns from time to time that its watch lives.
//
// A check has etcd walk over every key of the feed, and a thousand agents that
// do so twice a minute keep it busy with nothing else. So the feed asks the
// stream for its progress: etcd answers on it, behind all that it has sent,
// with the revision up to which every watch of the stream has been served; a
// few bytes, no read, no quorum, and the same for one key and for a million.
// The answer comes to all feeds of the stream. It is not the last word:
//
//   - Nothing is put right by it. An etcd without the fix of its issue 15220
//     (Debian's 3.4.23) may answer ahead of events, so state keeps its revision;
//     what the answer proved is only where the next check looks first.
//   - A watch that etcd has forgotten while the stream lives does not show, nor
//     does what a proxy swallows. Each wholeAfter-th time the feed checks.
//   - etcd's own gRPC proxy does not know the request and logs an error; others
//     may drop it. Who did not answer twice is not asked again on that stream.
//   - clientv3 resumes a broken stream from the last answer, so perhaps behind an
//     event that never came. After an answer the feed opens its watches itself.
//   - A feed that was behind at the last check is checked.
//   - Watches apart are checked: one of them may be dead.
type proof struct {
	login      int64     // that of the watches' stream
	asked      bool      // and no answer yet
	unanswered int       // in a row
	cheap      int       // proofs since the last check
	told       bool      // an answer has come on this stream
	rest       time.Time // before it no timed check
}

const (
	wholeAfter = 20          // about ten minutes
	askTimeout = time.Second // to hand the request over; a stream that is being opened again does not take it
	maxMute    = 2           // requests
)

// begin starts anew, on a stream that has just been checked.
func (p *proof) begin() { p.asked, p.unanswered, p.cheap, p.told = false, 0, 0, false }

// ask asks for progress, and says whether the feed is to wait for it now.
func (f *feed) ask(ctx context.Context) bool {
	p := &f.proof
	if p.asked || f.apart || p.unanswered >= maxMute || p.cheap >= wholeAfter || f.lagging == f.state.revision {
		return false
	}
	etcd := f.client.etcd.Load()
	if etcd == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	p.asked = etcd.RequestProgress(streamContext(ctx, p.login)) == nil
	return p.asked
}

// proved takes an answer, which another feed may have asked for, and says whether
// it is one that proves something.
func (f *feed) proved(revision int64) bool {
	f.told = true
	if f.apart || f.proof.cheap >= wholeAfter || f.lagging == f.state.revision ||
		revision < f.state.revision { // a member that lags, or an etcd that went back
		return false // the check tells
	}
	f.state.proved = revision
	f.proof.asked, f.proof.unanswered = false, 0
	f.proof.cheap++
	return true
}

// unproved counts a check that had to be because no answer came.
func (p *proof) unproved() {
	if p.asked {
		p.unanswered++
	}
	p.asked, p.cheap = false, 0
}

package agent

import (
	"fmt"
	"testing"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/source"
)

// told keeps the events of etcd.
type told []daemonset.Event

func (t *told) Event(e daemonset.Event) { *t = append(*t, e) }

// TestEtcdAnswersAgain: only who has asked knows. A profile that changes while etcd is away begins
// to ask anew.
func TestEtcdAnswersAgain(t *testing.T) {
	var events told
	a := &Agent{Observer: &events}
	feedThat := func(told bool, away error) *feed {
		f := &feed{}
		f.told.Store(told)
		f.offer.away = away
		return f
	}
	away := fmt.Errorf("%w: connection refused", source.ErrUnavailable)
	for i, step := range []struct {
		feeds []*feed
		away  bool
		told  int
	}{
		{[]*feed{feedThat(true, away)}, true, 1},
		{[]*feed{feedThat(false, nil)}, true, 1},
		{[]*feed{feedThat(false, nil), feedThat(true, nil)}, false, 2},
		{[]*feed{feedThat(true, nil), feedThat(true, away)}, true, 3},
		{nil, false, 3},
		{[]*feed{feedThat(true, nil)}, false, 3},
	} {
		a.sight.feeds = step.feeds
		a.etcd(nil)
		if got := a.sight.etcd != ""; got != step.away || len(events) != step.told {
			t.Errorf("step %d: away is %v, %d events: %+v", i, got, len(events), events)
		}
	}
}

package status

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/podreload/podreload/daemonset"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// numbered is an event whose reason is its number, that many seconds after noon.
func numbered(n int) daemonset.Event {
	return daemonset.Event{Time: noon.Add(time.Duration(n) * time.Second), Kind: daemonset.Turn, Reason: strconv.Itoa(n)}
}

func numbers(events []daemonset.Event) (all []string) {
	for _, e := range events {
		all = append(all, e.Reason)
	}
	return all
}

func TestEvents(t *testing.T) {
	for name, tt := range map[string]struct {
		put, since, last int
		want             []string
	}{
		"none":              {0, -1, 5, nil},
		"few":               {3, -1, 5, []string{"0", "1", "2"}},
		"the last":          {3, -1, 2, []string{"1", "2"}},
		"none of them":      {3, -1, 0, nil},
		"since":             {5, 2, 5, []string{"3", "4"}},
		"full":              {keptEvents, -1, 1, []string{"999"}},
		"round":             {keptEvents + 7, -1, 2, []string{"1005", "1006"}},
		"the oldest are no": {keptEvents + 7, -1, keptEvents, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var b Board
			for i := range tt.put {
				b.Event(numbered(i))
			}
			got := numbers(b.Events(noon.Add(time.Duration(tt.since)*time.Second), tt.last))
			if name == "the oldest are no" {
				if len(got) != keptEvents || got[0] != "7" {
					t.Errorf("%d events, the first %s; want %d from 7 on", len(got), got[0], keptEvents)
				}
				return
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestFollow wants each event once, whether it came before or after somebody began to follow.
func TestFollow(t *testing.T) {
	var b Board
	var putting sync.WaitGroup
	putting.Go(func() {
		for i := range 200 {
			b.Event(numbered(i))
		}
	})
	past, f, end, err := b.follow(time.Time{}, keptEvents)
	if err != nil {
		t.Fatal(err)
	}
	got := numbers(past)
	for len(got) < 200 {
		got = append(got, (<-f.events).Reason)
	}
	putting.Wait()
	for i, n := range got {
		if n != strconv.Itoa(i) {
			t.Fatalf("event %d is %s", i, n)
		}
	}
	end()
	b.Event(numbered(200))
	select {
	case e := <-f.events:
		t.Errorf("after its end a follower got %+v", e)
	default:
	}
}

// TestSlowReader never reads: the board goes on, and says so by closing.
func TestSlowReader(t *testing.T) {
	var b Board
	_, f, end, err := b.follow(time.Time{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	for i := range 2 * slack {
		b.Event(numbered(i))
	}
	n := 0
	for range f.events {
		n++
	}
	if n != slack {
		t.Errorf("%d events before the end, want %d", n, slack)
	}
	if got := len(b.Events(time.Time{}, keptEvents)); got != 2*slack {
		t.Errorf("the board holds %d events, want %d", got, 2*slack)
	}
}

func TestTooManyFollow(t *testing.T) {
	var b Board
	for range maxFollowers {
		_, _, end, err := b.follow(time.Time{}, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer end()
	}
	if _, _, _, err := b.follow(time.Time{}, 0); err == nil {
		t.Errorf("%d follow", maxFollowers+1)
	}
}

// TestLargeEvent bounds what a hostile container can make the board hold.
func TestLargeEvent(t *testing.T) {
	var b Board
	e := numbered(0)
	e.Reason = strings.Repeat("x", 1<<20)
	for i := range 1000 {
		e.Wrote = append(e.Wrote, fmt.Sprint(i))
	}
	b.Event(e)
	got := b.Events(time.Time{}, 1)[0]
	if len(got.Reason) > longestText+len("…") || len(got.Wrote) != mostPaths+1 {
		t.Errorf("%d bytes and %d paths are kept", len(got.Reason), len(got.Wrote))
	}
	if len(e.Wrote) != 1000 {
		t.Error("the caller's event was changed")
	}
}

package source

import (
	"errors"
	"strings"
	"testing"

	"github.com/podreload/podreload/testenv"
)

// TestLearner: a member that only learns serves no watch, so it takes no load off the others; that it
// is among the endpoints, as while a cluster grows, is no hindrance.
func TestLearner(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v testenv.Version) {
		m := newMembers(t, v)
		learner, err := m.AddLearner(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		alone := openAt(t, learner.Endpoint()).Subscribe([]string{"/a"})
		defer alone.Close()
		until(t, alone, "says that it is a learner", func(_ *Snapshot, err error) bool {
			return errors.Is(err, ErrUnavailable) && strings.Contains(err.Error(), "learner")
		})
		among := open(t, Config{Endpoints: append([]string{learner.Endpoint()}, m.Endpoints()[:3]...)})
		m.feeds = append(m.feeds, among.Subscribe([]string{"/a"}))
		for range 5 {
			m.converges(t, 0)
		}
	})
}

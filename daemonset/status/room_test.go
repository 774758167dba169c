package status

import (
	"net"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pipes is a listener that somebody connects to whenever it is asked.
type pipes struct{ net.Listener }

type end struct {
	net.Conn
	closed bool
}

func (e *end) Close() error {
	e.closed = true
	return e.Conn.Close()
}

func (pipes) Accept() (net.Conn, error) {
	c, other := net.Pipe()
	return &end{Conn: c}, other.Close()
}

// TestRoom: room is made by the one that has been idle the longest, and by one that is served
// only where all are.
func TestRoom(t *testing.T) {
	for name, test := range map[string]struct {
		turns func(c []net.Conn)
		want  []int // that are closed
	}{
		"silent":           {func([]net.Conn) {}, []int{0, 1}},
		"one is served":    {func(c []net.Conn) { turned(c[0], http.StateActive) }, []int{1, 2}},
		"one was":          {func(c []net.Conn) { turned(c[0], http.StateActive); turned(c[0], http.StateIdle) }, []int{1, 2}},
		"all are":          {func(c []net.Conn) { each(c, http.StateActive) }, []int{0, 3}}, // the newest is idle still
		"all but the last": {func(c []net.Conn) { each(c[:2], http.StateActive) }, []int{2, 3}},
		"one has ended":    {func(c []net.Conn) { c[1].Close() }, []int{0, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			l := &limited{Listener: pipes{}, max: 3}
			var all []net.Conn
			accept := func() {
				c, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, c)
			}
			for range l.max {
				accept()
			}
			turned(all[0], http.StateNew) // as a server says first
			test.turns(all)
			accept()
			accept()
			var closed []int
			for i, c := range all {
				if c.(*counted).Conn.(*end).closed {
					closed = append(closed, i)
				}
			}
			if diff := cmp.Diff(test.want, closed); diff != "" {
				t.Errorf("closed (-want +got):\n%s", diff)
			}
			if len(l.open) != l.max || slices.Contains(closed, len(all)-1) {
				t.Errorf("%d are open, want %d, the newest too", len(l.open), l.max)
			}
			for _, c := range all {
				c.Close()
				c.Close()
			}
			if len(l.open) != 0 {
				t.Errorf("%d are counted that have ended", len(l.open))
			}
		})
	}
}

func each(all []net.Conn, s http.ConnState) {
	for _, c := range all {
		turned(c, s)
	}
}

package status

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"github.com/podreload/podreload/daemonset"
)

// node is one that says what it is told to.
type node struct {
	mu    sync.Mutex
	view  daemonset.View
	stuck atomic.Bool
	woken atomic.Int32
}

func (n *node) View() daemonset.View {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.view
}

func (n *node) set(v daemonset.View) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.view = v
}

func (n *node) Ping(ctx context.Context) error {
	if n.stuck.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (n *node) Wake() { n.woken.Add(1) }

// served is a server that runs until the test ends.
type served struct {
	*Server
	node *node
	dir  string
	stop func()
}

func serve(t *testing.T, change func(*Config)) *served {
	t.Helper()
	n := &node{view: busy()}
	log := logrus.New()
	log.SetOutput(t.Output())
	dir, err := os.MkdirTemp("", "podreload-status-") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Build: Build{Version: "v1", RuntimeEndpoint: "unix:///c", Endpoints: []string{"e:1"}}, Dir: dir, Listen: "127.0.0.1:0",
		Node: n, Board: &Board{}, Metrics: NewMetrics("v1", n, nil), Log: log}
	if change != nil {
		change(&cfg)
	}
	s, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	stop := func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(func() {
		stop()
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left in the state directory: %v, %v", left, err)
		}
		os.RemoveAll(dir)
	})
	return &served{s, n, dir, stop}
}

// get asks what is public.
func (s *served) get(t *testing.T, method, path string) (int, string) {
	t.Helper()
	return ask(t, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, method, "http://"+s.Address().String()+path)
}

// api asks the socket.
func (s *served) api(t *testing.T, method, path string) (int, string) {
	t.Helper()
	return ask(t, &NewClient(s.dir).http, method, "http://podreload"+path)
}

func ask(t *testing.T, c *http.Client, method, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestSocket(t *testing.T) {
	s := serve(t, nil)
	info, err := os.Stat(filepath.Join(s.dir, SocketName))
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("the socket is %v, %v, want mode 0600", info, err)
	}
	got, err := NewClient(s.dir).Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Report{Build: s.Build, Pid: os.Getpid(), View: busy()}, got, cmp.Transformer("UTF8", func(s string) string { return strings.ToValidUTF8(s, "�") })); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	if err := NewClient(s.dir).Wake(t.Context()); err != nil || s.node.woken.Load() != 1 {
		t.Errorf("wake: %v, woken %d times", err, s.node.woken.Load())
	}
	for path, want := range map[string]int{
		"GET /v1/wake": http.StatusMethodNotAllowed, "GET /": http.StatusNotFound, "GET /metrics": http.StatusNotFound,
		"GET /debug/pprof/": http.StatusNotFound, "GET /v1/events?last=x": http.StatusBadRequest, "GET /v1/events?since=x": http.StatusBadRequest,
	} {
		method, path, _ := strings.Cut(path, " ")
		if code, body := s.api(t, method, path); code != want {
			t.Errorf("%s %s: %d %s, want %d", method, path, code, body, want)
		}
	}
	s.stop()
	if _, err := NewClient(s.dir).Status(t.Context()); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("after the end: %v, want %v", err, ErrNoDaemon)
	}
}

// TestStaleSocket is what a daemon that was killed leaves.
func TestStaleSocket(t *testing.T) {
	var left net.Listener
	s := serve(t, func(cfg *Config) {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(cfg.Dir, SocketName), Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		left = l
		l.Close()
		if _, err := NewClient(cfg.Dir).Status(t.Context()); !errors.Is(err, ErrNoDaemon) {
			t.Errorf("nobody listens: %v, want %v", err, ErrNoDaemon)
		}
		if err := os.MkdirAll(filepath.Join(cfg.Dir, ".new", "x"), 0o700); err != nil {
			t.Fatal(err)
		}
	})
	if left == nil {
		t.Fatal("no socket was left")
	}
	if _, err := NewClient(s.dir).Status(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestLongPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("x", 100))
	if _, err := Listen(Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "shorter --state") {
		t.Errorf("listen in a directory of %d bytes: %v", len(dir), err)
	}
}

func TestTakenAddress(t *testing.T) {
	s := serve(t, nil)
	dir := t.TempDir()
	if _, err := Listen(Config{Dir: dir, Listen: s.Address().String()}); err == nil || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("a taken address: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestPprof(t *testing.T) {
	s := serve(t, func(cfg *Config) { cfg.Pprof = true })
	if code, body := s.api(t, "GET", "/debug/pprof/goroutine?debug=1"); code != http.StatusOK || !strings.Contains(body, "goroutine profile") {
		t.Errorf("%d %s", code, body)
	}
	if code, _ := s.get(t, "GET", "/debug/pprof/"); code != http.StatusNotFound {
		t.Errorf("the address has the profiler: %d", code)
	}
}

// TestPublic holds what anybody can reach to three paths.
func TestPublic(t *testing.T) {
	s := serve(t, nil)
	if code, body := s.get(t, "GET", "/metrics"); code != http.StatusOK ||
		!strings.Contains(body, `podreload_target_state{container="nginx",namespace="prod",pod="web-1",profile="web",state="Refused"} 1`) {
		t.Errorf("metrics: %d\n%s", code, body)
	}
	for path, want := range map[string]int{
		"GET /": 404, "GET /v1/status": 404, "GET /v1/events": 404, "POST /v1/wake": 404, "POST /metrics": 405, "GET /debug/vars": 404,
	} {
		method, path, _ := strings.Cut(path, " ")
		if code, _ := s.get(t, method, path); code != want {
			t.Errorf("%s %s: %d, want %d", method, path, code, want)
		}
	}
	if s := serve(t, func(cfg *Config) { cfg.Listen = "" }); s.Address() != nil {
		t.Errorf("it listens at %v unasked", s.Address())
	}
}

func TestHealth(t *testing.T) {
	s := serve(t, nil)
	want := func(path string, code int, body string) {
		t.Helper()
		if c, b := s.get(t, "GET", path); c != code || b != body {
			t.Errorf("%s: %d %q, want %d %q", path, c, b, code, body)
		}
	}
	s.node.set(daemonset.View{RuntimeAway: "no\nsocket"})
	want("/healthz", 200, "ok\n")
	want("/readyz", 503, "the node's containers have not been listed yet\ncontainerd: no socket\n")
	s.node.set(daemonset.View{Listed: true, Feeds: []daemonset.FeedView{{Profile: "web"}, {Profile: "api", Settled: true}}})
	want("/readyz", 503, "the keys of profile web have not been read yet\n")
	s.node.set(daemonset.View{Listed: true, EtcdAway: "no answer", Feeds: []daemonset.FeedView{{Profile: "web", Settled: true, Reason: "no answer"}}})
	want("/readyz", 200, "ok\netcd: no answer\n")
	s.node.set(daemonset.View{Listed: true, Problems: []string{"conf.d: gone"}, Profiles: []daemonset.ProfileView{{Name: "web", Reason: "nonsense"}, {Name: "api"}}})
	want("/readyz", 200, "ok\nprofile web has an error: podreload status says which\nconf.d cannot be read whole: podreload status says why\n")
	s.node.set(daemonset.View{Listed: true, Feeds: []daemonset.FeedView{{Profile: "new"}}})
	want("/readyz", 200, "ok\n")
	s.node.stuck.Store(true)
	want("/healthz", 503, "the agent's loop has not answered within 1s\n")
}

func TestFollowSocket(t *testing.T) {
	s := serve(t, nil)
	for i := range 3 {
		s.Board.Event(numbered(i))
	}
	var got []string
	each := func(e daemonset.Event) error { got = append(got, e.Reason); return nil }
	if err := NewClient(s.dir).Events(t.Context(), noon, 5, false, each); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1", "2"}, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	got = nil
	// The last of them is put down right before the end, and still comes.
	err := NewClient(s.dir).Events(t.Context(), time.Time{}, 1, true, func(e daemonset.Event) error {
		got = append(got, e.Reason)
		n, _ := strconv.Atoi(e.Reason)
		if n < 6 {
			s.Board.Event(numbered(n + 1))
		}
		if n == 5 {
			s.stop()
		}
		return nil
	})
	if err != nil {
		t.Errorf("the end of the server: %v", err)
	}
	if diff := cmp.Diff([]string{"2", "3", "4", "5", "6"}, got); diff != "" {
		t.Errorf("followed (-want +got):\n%s", diff)
	}
}

// TestSlowSocket is a reader that stops reading: it is told that events were lost, and the
// board is never held up.
func TestSlowSocket(t *testing.T) {
	s := serve(t, nil)
	conn, err := net.Dial("unix", filepath.Join(s.dir, SocketName))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /v1/events?follow=1 HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	for line := ""; line != "\r\n"; { // it follows now
		if line, err = r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	e := numbered(0)
	e.Reason = strings.Repeat("x", longestText)
	for range 10_000 { // far more than fits into the socket
		s.Board.Event(e)
	}
	var last daemonset.Event
	n := 0
	for d := json.NewDecoder(r); d.Decode(&last) == nil; n++ {
	}
	if n < slack || n > 10_000 || !strings.Contains(last.Reason, "lost") {
		t.Errorf("%d events, and at last %q", n, last.Reason)
	}
}

// TestManyConnections: whoever holds many of them, and renews them, does not keep a probe out.
func TestManyConnections(t *testing.T) {
	const whole = "GET /healthz HTTP/1.1\r\nHost: x\r\n"
	for name, says := range map[string][]string{
		"silent":              {""},
		"half a request":      {"GET /hea"},
		"kept alive":          {whole + "\r\n"},
		"that owe their body": {whole + "Content-Length: 9\r\n\r\n"},
		"of all kinds":        {"", "GET /hea", whole + "\r\n", whole + "Content-Length: 9\r\n\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, nil)
			for range 3 {
				for i := range maxConnections + 5 {
					c, err := net.Dial("tcp", s.Address().String())
					if err != nil {
						t.Fatal(err)
					}
					defer c.Close()
					text := says[i%len(says)]
					if _, err := io.WriteString(c, text); err != nil {
						t.Fatal(err)
					}
					if text != whole+"\r\n" {
						continue
					}
					if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
						t.Fatalf("connection %d: %q, %v", i, line, err)
					}
				}
				if code, body := s.get(t, "GET", "/healthz"); code != http.StatusOK {
					t.Errorf("beside %d connections: %d %s", maxConnections+5, code, body)
				}
			}
		})
	}
}

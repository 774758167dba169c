package status

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"os"
	"strconv"
	"time"

	"github.com/podreload/podreload/daemonset"
)

// Build is which agent it is.
type Build struct {
	Version         string   `json:"version"`
	RuntimeEndpoint string   `json:"runtimeEndpoint"`
	Endpoints       []string `json:"endpoints"` // etcd's
}

// Report is what GET /v1/status answers.
type Report struct {
	Build
	Pid int `json:"pid"`
	daemonset.View
}

// api is what is served on the socket.
func (s *Server) api() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", s.status)
	mux.HandleFunc("GET /v1/events", s.events)
	mux.HandleFunc("POST /v1/wake", func(w http.ResponseWriter, _ *http.Request) {
		s.Node.Wake()
		w.WriteHeader(http.StatusNoContent)
	})
	if s.Pprof {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	soon(w)
	// An error is the reader's, who has gone.
	_ = json.NewEncoder(w).Encode(Report{Build: s.Build, Pid: os.Getpid(), View: s.Node.View()})
}

// soon bounds what is written next: there is no other bound on the socket, where some follow.
func soon(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
}

// events answers with JSON, one event a line: those of after since, at most the last ones,
// and with follow those that come.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	n, since := keptEvents, time.Time{}
	var err error
	if text := q.Get("last"); text != "" {
		if n, err = strconv.Atoi(text); err != nil || n < 0 {
			http.Error(w, "last is how many", http.StatusBadRequest)
			return
		}
	}
	if text := q.Get("since"); text != "" {
		if since, err = time.Parse(time.RFC3339Nano, text); err != nil {
			http.Error(w, "since is a time as of RFC 3339", http.StatusBadRequest)
			return
		}
	}
	w.Header().Set("Content-Type", "application/jsonl")
	if q.Get("follow") == "" {
		write(w, s.Board.Events(since, n)...)
		return
	}
	past, f, end, err := s.Board.follow(since, n)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer end()
	if write(w, past...) {
		follow(r.Context(), w, f)
	}
}

// follow writes what comes, until ctx ends or the reader goes, or is too slow.
func follow(ctx context.Context, w http.ResponseWriter, f *follower) {
	for {
		select {
		case e, ok := <-f.events:
			if !ok {
				write(w, daemonset.Event{Time: time.Now(), Kind: daemonset.Daemon, By: "daemon",
					Reason: "events are lost from here on: they were not read fast enough; follow anew"})
				return
			}
			if !write(w, e) {
				return
			}
		case <-ctx.Done():
			for { // what was said before the end
				select {
				case e, ok := <-f.events:
					if !ok || !write(w, e) {
						return
					}
				default:
					return
				}
			}
		}
	}
}

// write answers whether the reader is there still.
func write(w http.ResponseWriter, events ...daemonset.Event) bool {
	soon(w)
	to := json.NewEncoder(w)
	for _, e := range events {
		if to.Encode(e) != nil {
			return false
		}
	}
	return http.NewResponseController(w).Flush() == nil
}

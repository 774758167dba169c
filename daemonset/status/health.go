package status

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// pingTimeout is how long the agent's loop may take to answer.
const pingTimeout = time.Second

// public is what is served at the address.
func (s *Server) public() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.Metrics.registry, promhttp.HandlerOpts{
		ErrorLog: scrapeLog{s}, MaxRequestsInFlight: 4, Timeout: writeTimeout / 2,
	}))
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	return mux
}

// scrapeLog is a log for promhttp.
type scrapeLog struct{ s *Server }

// Println is that of [promhttp.Logger].
func (l scrapeLog) Println(v ...any) {
	l.s.Log.Warn("metrics: ", strings.TrimSpace(fmt.Sprintln(v...)))
}

// healthz fails only where another process would do better: not while etcd or containerd
// are away.
func (s *Server) healthz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), pingTimeout)
	defer cancel()
	if err := s.Node.Ping(ctx); err != nil {
		answer(w, http.StatusServiceUnavailable, []string{fmt.Sprintf("the agent's loop has not answered within %v", pingTimeout)})
		return
	}
	answer(w, http.StatusOK, []string{"ok"})
}

// readyz says when a new agent works, so that a rollout can go on. Once it does, that stays:
// nothing is mended by the contrary.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	v := s.Node.View()
	var missing, notes []string
	if !v.Listed {
		missing = append(missing, "the node's containers have not been listed yet")
	}
	for _, f := range v.Feeds {
		if !f.Settled {
			missing = append(missing, "the keys of profile "+f.Profile+" have not been read yet")
		}
	}
	if v.RuntimeAway != "" {
		notes = append(notes, "containerd: "+v.RuntimeAway)
	}
	if v.EtcdAway != "" {
		notes = append(notes, "etcd: "+v.EtcdAway)
	}
	for _, p := range v.Profiles {
		if p.Reason != "" {
			notes = append(notes, "profile "+p.Name+" has an error: podreload status says which")
		}
	}
	if len(v.Problems) > 0 {
		notes = append(notes, "conf.d cannot be read whole: podreload status says why")
	}
	if len(missing) > 0 && !s.ready.Load() {
		answer(w, http.StatusServiceUnavailable, append(missing, notes...))
		return
	}
	s.ready.Store(true)
	answer(w, http.StatusOK, append([]string{"ok"}, notes...))
}

// answer is one reason a line.
func answer(w http.ResponseWriter, code int, reasons []string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	for _, r := range reasons {
		fmt.Fprintln(w, strings.Join(strings.Fields(r), " "))
	}
}

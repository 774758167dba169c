package main

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"
)

// phases is how often the daemon has done each part of an apply, and how long that took in all.
type phases map[string]struct {
	count float64
	sum   time.Duration
}

var (
	listens = regexp.MustCompile(`metrics and probes are served" listen="?([0-9.:]+)`)
	phase   = regexp.MustCompile(`^podreload_phase_duration_seconds_(sum|count)\{phase="(\w+)"\} (\S+)$`)
)

// phases reads them from the daemon's metrics, which it serves if it was started with --listen.
func (d *daemon) phases(ctx context.Context) (phases, error) {
	log, err := os.ReadFile(d.log)
	if err != nil {
		return nil, err
	}
	at := listens.FindSubmatch(log)
	if at == nil {
		return nil, fmt.Errorf("the daemon does not say where it serves metrics; its log:\n%s", log)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+string(at[1])+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	all := phases{}
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		m := phase.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		var value float64
		if _, err := fmt.Sscan(m[3], &value); err != nil {
			return nil, fmt.Errorf("%q: %w", lines.Text(), err)
		}
		p := all[m[2]]
		if m[1] == "count" {
			p.count = value
		} else {
			p.sum = time.Duration(value * float64(time.Second))
		}
		all[m[2]] = p
	}
	return all, lines.Err()
}

// since are the means of what has happened since before.
func (p phases) since(before phases) map[string]time.Duration {
	means := map[string]time.Duration{}
	for name := range maps.Keys(p) {
		if n := p[name].count - before[name].count; n > 0 {
			means[name] = time.Duration(float64(p[name].sum-before[name].sum) / n)
		}
	}
	return means
}

// parts puts into words where the time until a signal goes, by means.
func parts(total time.Duration, of map[string]time.Duration) string {
	var words []string
	rest := total
	for _, part := range []struct{ phase, name string }{{"render", "render"}, {"commit", "write and signal"}} {
		words = append(words, part.name+" "+ms(of[part.phase]))
		rest -= of[part.phase]
	}
	return strings.Join(append(words, "etcd's event, records and wake-ups "+ms(rest)), ", ")
}

func mean(samples []time.Duration) time.Duration {
	var sum time.Duration
	for _, s := range samples {
		sum += s
	}
	return sum / time.Duration(max(1, len(samples)))
}

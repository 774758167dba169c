package soak

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// sample is what the daemon holds at one moment.
type sample struct {
	at                   time.Duration // since the run began
	changes              int           // until then
	rss, pss             float64       // in bytes; not of children, which share its memory until they are another program
	fds, threads         float64
	heap, goroutines     float64
	stateFiles, rootSize float64 // files below --state, bytes below --root
	rootFiles            float64
	phases               map[string]int // how often each part of an apply was done
}

func (r *rig) sample() (s sample, err error) {
	s.phases = map[string]int{}
	if err := s.memory(r.pid); err != nil {
		return s, err
	}
	if s.fds, err = entries(fmt.Sprintf("/proc/%d/fd", r.pid)); err != nil {
		return s, err
	}
	if s.threads, err = entries(fmt.Sprintf("/proc/%d/task", r.pid)); err != nil {
		return s, err
	}
	if s.stateFiles, _, err = files(r.path("run")); err != nil {
		return s, err
	}
	if s.rootFiles, s.rootSize, err = files(r.path("kept")); err != nil {
		return s, err
	}
	return s, r.ask(&s)
}

// memory adds what a process has in memory: proc(5), smaps_rollup.
func (s *sample) memory(pid int) error {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		field := strings.Fields(line)
		kib := 0.0
		if len(field) > 1 {
			kib, _ = strconv.ParseFloat(field[1], 64)
		}
		switch field[0] {
		case "Rss:":
			s.rss += kib * 1024
		case "Pss:":
			s.pss += kib * 1024
		}
	}
	return nil
}

func entries(dir string) (float64, error) {
	all, err := os.ReadDir(dir)
	return float64(len(all)), err
}

// files are how many there are below a folder, and how much they hold.
func files(dir string) (count, size float64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			if d.Name() == "twins" {
				return fs.SkipDir // what is mounted there for a check is no file of the daemon's
			}
			return nil
		}
		var info fs.FileInfo
		if err == nil {
			info, err = d.Info()
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone meanwhile
		}
		if err == nil {
			count, size = count+1, size+float64(info.Size())
		}
		return err
	})
	return count, size, err
}

// ask takes from the daemon's metrics what only it knows.
func (r *rig) ask(s *sample) error {
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.metrics, nil)
	if err != nil {
		return err
	}
	req.Close = true // the daemon's descriptors are counted
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	in := bufio.NewScanner(resp.Body)
	for in.Scan() {
		name, text, _ := strings.Cut(in.Text(), " ")
		value, _ := strconv.ParseFloat(text, 64)
		phase, ok := strings.CutPrefix(name, `podreload_phase_duration_seconds_count{phase="`)
		switch {
		case ok:
			s.phases[strings.TrimSuffix(phase, `"}`)] = int(value)
		case name == "go_goroutines":
			s.goroutines = value
		case name == "go_memstats_heap_alloc_bytes":
			s.heap = value
		}
	}
	if err := in.Err(); err != nil {
		return err
	}
	if s.goroutines == 0 || len(s.phases) == 0 {
		return errors.New("the metrics have no goroutines or no phases")
	}
	return nil
}

package agent

import (
	"maps"
	"sync"
	"time"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/nsenter"
)

// stand is how one target stands, for those who watch. Its worker and its feed write it.
type stand struct {
	mu sync.Mutex
	daemonset.TargetView

	failed failure // that was counted last, as long as nothing is in place that is wanted

	revision int64 // the newest that is known for the target
	known    time.Time
}

// failure is one of those that are counted once in a row.
type failure struct {
	state  daemonset.State
	reason string
}

// begin takes what an earlier agent has recorded: only what comes after it is counted.
func (s *stand) begin(recorded daemonset.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if recorded.State != "" {
		s.Status = recorded
	}
	switch recorded.State {
	case daemonset.Live, daemonset.Applied:
		s.took(true, recorded.Reloaded)
	case daemonset.Refused, daemonset.RolledBack, daemonset.Failed:
		s.took(false, time.Time{})
		s.failed = failure{recorded.State, recorded.Reason}
	}
}

// heard notes that etcd holds another revision.
func (s *stand) heard(revision int64, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision, s.known = revision, at
	s.compare()
}

// note takes what a pass came to.
func (s *stand) note(now daemonset.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.Status
	s.Status = now
	s.compare()
	if result := s.result(before, now); result != "" {
		if s.Results == nil {
			s.Results = map[daemonset.State]int{}
		}
		s.Results[result]++
		s.took(result == daemonset.Live || result == daemonset.Applied, now.Updated)
	}
}

// result is what an apply came to: a reload that took, or a failure that was not there
// before. It is empty where nothing new has happened: a pause comes in between and is no apply.
func (s *stand) result(before, now daemonset.Status) daemonset.State {
	switch now.State {
	case daemonset.Refused, daemonset.RolledBack, daemonset.Failed:
		if is := (failure{now.State, now.Reason}); is != s.failed {
			s.failed = is
			return now.State
		}
		return ""
	case daemonset.Applied:
		s.failed = failure{}
		if now.Digest != before.Digest || now.Reloads != before.Reloads {
			return daemonset.Applied
		}
	case daemonset.Live:
		s.failed = failure{}
		fallthrough
	default: // the proof may have come with an etcd that is gone again
		if now.Reloads != before.Reloads {
			return daemonset.Live
		}
	}
	return ""
}

func (s *stand) took(ok bool, at time.Time) {
	s.Took = &ok
	if ok && !at.IsZero() {
		s.TookAt = at
	}
}

// compare begins to count how long the target is behind with the first revision that is
// not in place: more of them must not make it look younger.
func (s *stand) compare() {
	inPlace := s.State == daemonset.Live || s.State == daemonset.Applied || s.State == daemonset.Stale || s.State == daemonset.Paused
	switch {
	case s.revision == 0 || inPlace && s.Revision == s.revision:
		s.Behind = time.Time{}
	case s.Behind.IsZero():
		s.Behind = s.known
	}
}

func (s *stand) view() daemonset.TargetView {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.TargetView
	v.Results = maps.Clone(v.Results)
	return v
}

// census notes how many old workers of the server that was signalled last there are, and counts them
// where that is not known. It answers whether there are any: then they are counted again before long.
func (s *stand) census(job Job, draining *int) bool {
	if draining == nil {
		process := s.view().Process
		if process == nil {
			return false
		}
		draining = countDraining(job, *process)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Draining = draining
	return draining != nil && *draining > 0
}

func countDraining(job Job, process daemonset.Process) *int {
	preset, known, err := presetOf(job.profile())
	if err != nil || !known || preset.Success != daemonset.SuccessChildren {
		return nil
	}
	server, err := nsenter.PinStarted(process.Pid, process.StartTime)
	if err != nil {
		return nil
	}
	defer server.Close()
	_, draining, err := preset.Census(server)
	if err != nil {
		return nil
	}
	return &draining
}

package verify

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/podreload/podreload/daemonset"
)

func TestMatch(t *testing.T) {
	full := daemonset.Matcher{Exe: []string{"a", "b"}, Signal: "USR1", Success: daemonset.SuccessAlive, After: time.Second}
	with := func(change func(*daemonset.Matcher)) daemonset.Matcher {
		m := full
		change(&m)
		return m
	}
	for _, test := range []struct {
		matcher daemonset.Matcher
		err     error
		proves  bool
	}{
		{full, nil, true},
		{with(func(m *daemonset.Matcher) { m.Success = daemonset.SuccessChildren }), nil, true},
		{with(func(m *daemonset.Matcher) { m.Success = daemonset.SuccessNone }), nil, false},
		{with(func(m *daemonset.Matcher) { m.Success = "log" }), ErrBadMatcher, false},
		{with(func(m *daemonset.Matcher) { m.After = 0 }), ErrBadMatcher, false},
		{with(func(m *daemonset.Matcher) { m.Exe = nil }), ErrBadMatcher, false},
		{with(func(m *daemonset.Matcher) { m.Exe = []string{"a", ""} }), ErrBadMatcher, false},
		{with(func(m *daemonset.Matcher) { m.Signal = "" }), ErrBadSignal, false},
	} {
		p, err := Match(test.matcher)
		if !errors.Is(err, test.err) {
			t.Errorf("%+v: %v, want %v", test.matcher, err, test.err)
		}
		if err != nil {
			continue
		}
		if p.Signal != syscall.SIGUSR1 || p.Proves() != test.proves || !p.Matches("/usr/bin/b") || p.Matches("/usr/bin/c") {
			t.Errorf("%+v gives %+v", test.matcher, p)
		}
	}
}

func TestPresets(t *testing.T) {
	if diff := cmp.Diff([]string{"nginx", "haproxy", "apache"}, Presets()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, p := range presets {
		if !p.Proves() || len(p.Check) != 1 || p.Mandatory != (p.Name == "apache") {
			t.Errorf("%+v", p)
		}
	}
}

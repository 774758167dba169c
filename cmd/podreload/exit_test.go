package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/sirupsen/logrus"

	"github.com/podreload/podreload/daemonset/agent"
)

func TestWorst(t *testing.T) {
	logrus.SetOutput(io.Discard)
	failed, usage := errors.New("failed"), usagef("usage")
	missing, unproved := notFoundf("not found"), fmt.Errorf("late: %w", agent.ErrNotVerified)
	refused := &codeError{code: exitRefused, err: errors.New("refused")}
	for name, test := range map[string]struct {
		errs []error
		want int
	}{
		"none":            {nil, exitOK},
		"all well":        {[]error{nil, nil}, exitOK},
		"one":             {[]error{failed}, exitError},
		"one is worse":    {[]error{nil, unproved, failed}, exitNotVerified},
		"5 before 4":      {[]error{refused, unproved}, exitNotVerified},
		"4 before 3":      {[]error{missing, refused}, exitRefused},
		"3 before 1":      {[]error{failed, missing, nil}, exitNotFound},
		"usage, the only": {[]error{usage}, exitUsage},
	} {
		t.Run(name, func(t *testing.T) {
			if got := codeOf(worst(make([]agent.Job, len(test.errs)), test.errs)); got != test.want {
				t.Errorf("exit code %d, want %d", got, test.want)
			}
		})
	}
}

func TestWorstCountsTheFailures(t *testing.T) {
	logrus.SetOutput(io.Discard)
	err := worst(make([]agent.Job, 3), []error{errors.New("a"), nil, errors.New("b")})
	if err == nil || err.Error() != "2 of 3 targets failed" {
		t.Errorf("got %v", err)
	}
}

func TestExitCodeOfInterrupted(t *testing.T) {
	logrus.SetOutput(io.Discard)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := exitCode(ctx, usagef("whatever came of it")); got != exitInterrupted {
		t.Errorf("interrupted: exit code %d, want %d", got, exitInterrupted)
	}
	if got := exitCode(ctx, nil); got != exitOK {
		t.Errorf("done before it was interrupted: exit code %d, want %d", got, exitOK)
	}
}

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v3"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/agent"
)

// The exit codes, as documented in README.md beside this file.
const (
	exitOK          = 0
	exitError       = 1
	exitUsage       = 2
	exitNotFound    = 3 // or ambiguous
	exitRefused     = 4 // by the check
	exitNotVerified = 5
	exitInterrupted = 130
)

// codeError is an error with the exit code that it means.
type codeError struct {
	code int
	err  error
}

func (e *codeError) Error() string { return e.err.Error() }
func (e *codeError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &codeError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

func notFoundf(format string, args ...any) error {
	return &codeError{code: exitNotFound, err: fmt.Errorf(format, args...)}
}

// codeOf is the exit code of one error.
func codeOf(err error) int {
	if e, ok := errors.AsType[*codeError](err); ok {
		return e.code
	}
	if err == nil {
		return exitOK
	}
	if _, ok := errors.AsType[cli.ExitCoder](err); ok {
		return exitUsage // only the flag parser makes these
	}
	if errors.Is(err, agent.ErrNotVerified) {
		return exitNotVerified
	}
	switch agent.StateOf(err) {
	case daemonset.Ambiguous:
		return exitNotFound
	case daemonset.Refused:
		return exitRefused
	case daemonset.RolledBack:
		return exitNotVerified
	}
	return exitError
}

// worst is what the errors of many targets, in the order of their jobs, come
// to: the code is the worst of them, in the order 5 > 4 > 3 > 1. Of several
// targets it says in the log what each met.
func worst(jobs []agent.Job, errs []error) error {
	if len(errs) == 1 {
		return errs[0]
	}
	code, failures := exitOK, 0
	for i, err := range errs {
		if err != nil {
			failures++
			code = max(code, codeOf(err))
			logrus.WithFields(agent.Fields(jobs[i].Target)).Error(err)
		}
	}
	if failures == 0 {
		return nil
	}
	return &codeError{code: code, err: fmt.Errorf("%d of %d targets failed", failures, len(errs))}
}

// exitCode says what failed on stderr and answers the process's exit code.
func exitCode(ctx context.Context, err error) int {
	if err == nil {
		return exitOK
	}
	if ctx.Err() != nil {
		logrus.Error("interrupted")
		return exitInterrupted
	}
	logrus.Error(err)
	return codeOf(err)
}

package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/check"
	"github.com/podreload/podreload/daemonset/state"
	"github.com/podreload/podreload/daemonset/template"
	"github.com/podreload/podreload/daemonset/verify"
	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/shim"
)

// Checker tries configurations where no running server can see them, and knows which
// were proved where.
type Checker interface {
	Check(ctx context.Context, t check.Trial) (check.Verdict, error)
	Prove(t check.Trial) error
	Proved(t check.Trial) error
}

// try has the new configuration checked before anything changes. The error's
// state is Refused where the check said no.
func (a *Applier) try(ctx context.Context, job Job, c *crossing, want goal, rec *state.Record) error {
	rec.Unchecked = ""
	if job.profile().Check == template.CheckOff {
		return nil
	}
	defer a.phase("check")()
	trial, err := a.trial(job, c, want.all())
	if err == nil && len(trial.Commands) > 0 && !a.startedWith(trial, want, rec) {
		_, err = a.Checker.Check(ctx, trial)
	}
	switch {
	case err == nil:
		return nil
	case unavailable(err) && job.profile().Check == template.CheckIfPossible && !(c.preset != nil && c.preset.Mandatory):
		rec.Unchecked = err.Error()
		return nil
	}
	return checkError(err)
}

// Check tries what the job would put in place, though the profile may be applied
// unchecked, and changes nothing.
func (a *Applier) Check(ctx context.Context, job Job) (check.Verdict, error) {
	if err := job.undecided(); err != nil {
		return check.Verdict{}, err
	}
	if err := supported(job); err != nil {
		return check.Verdict{}, err
	}
	rec := a.record(job.Target)
	want, err := a.wanted(ctx, job, &rec)
	if err != nil {
		return check.Verdict{}, err
	}
	files := want.all()
	c, err := enter(ctx, job)
	if err != nil {
		return check.Verdict{}, err
	}
	defer c.Close()
	if files, err = a.named(ctx, job, c.init, files); err != nil {
		return check.Verdict{}, err
	}
	trial, err := a.trial(job, c, files)
	if err != nil {
		return check.Verdict{}, checkError(err)
	}
	if len(trial.Commands) == 0 {
		return check.Verdict{}, failed(daemonset.Invalid, fmt.Errorf("profile %s has nothing to check with: "+
			"set process in [profile], or check_cmd in a resource", job.profile().Name))
	}
	verdict, err := a.Checker.Check(ctx, trial)
	if err != nil {
		return verdict, checkError(err)
	}
	return verdict, nil
}

// trial is what the checker needs to know. It has no commands where the profile
// says none.
func (a *Applier) trial(job Job, c *crossing, files []daemonset.File) (check.Trial, error) {
	commands, err := checkCommands(job, c)
	if err != nil {
		return check.Trial{}, err
	}
	return check.Trial{
		Container: job.Target.Container, Profile: c.profile, Files: files, Commands: commands, Image: job.Target.Container.Image,
		Forget: c.preset != nil && c.preset.Mandatory,
		Write: func(ctx context.Context, init *nsenter.Process) error {
			_, err := a.cross(ctx, &crossing{profile: c.profile, init: init}, request(shim.Apply, files, job.Target.Container))
			return err
		},
		Verify: func(ctx context.Context, init *nsenter.Process) error {
			result, err := a.cross(ctx, &crossing{profile: c.profile, init: init}, request(shim.Compare, files, job.Target.Container))
			if err != nil {
				return err
			}
			for _, f := range result.Files {
				if f.Changed {
					return fmt.Errorf("%s is not what was written there", f.Path)
				}
			}
			return nil
		},
	}, nil
}

// checkCommands are those of the resources, each once, else the server's own.
func checkCommands(job Job, c *crossing) ([]check.Command, error) {
	var commands []check.Command
	for _, r := range job.Bound.Resources {
		line, err := r.CheckCommand()
		if err != nil {
			return nil, failed(daemonset.Invalid, fmt.Errorf("%s: check_cmd: %w", r.Name, err))
		}
		args := daemonset.SplitCommand(line)
		if len(args) > 0 && !slices.ContainsFunc(commands, func(c check.Command) bool { return slices.Equal(c.Args, args) }) {
			commands = append(commands, check.Command{Args: args, Resource: r.Name, Timeout: r.CheckTimeout})
		}
	}
	switch {
	case len(commands) > 0, c.preset == nil:
		return commands, nil
	case c.server == nil:
		if len(c.preset.Check) == 0 {
			return nil, nil
		}
		return []check.Command{{Args: c.preset.CheckArgs(job.Target.Container.Args)}}, nil
	}
	command, err := c.preset.CheckCommand(c.server)
	if errors.Is(err, verify.ErrUnprovable) && job.profile().Matcher != nil {
		return nil, nil // a matcher has no command but a resource's
	}
	if err != nil {
		return nil, failed(serverState(err), err)
	}
	return []check.Command{{Args: command.Args, Env: command.Env}}, nil
}

// unavailable tells a check that this container does not allow from one that
// went wrong.
func unavailable(err error) bool { return errors.Is(err, check.ErrUnsupported) }

// checkError gives an error of the check the state that it means.
func checkError(err error) error {
	if _, ok := errors.AsType[*stateError](err); ok {
		return err
	}
	switch {
	case errors.Is(err, check.ErrRefused):
		return failed(daemonset.Refused, err)
	case unavailable(err):
		return failed(daemonset.Unsupported, fmt.Errorf("%w; check = %q in [profile] applies without, where that is so", err, template.CheckIfPossible))
	}
	return failed(crossingState(err), err)
}

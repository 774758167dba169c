package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/exec"
	"github.com/podreload/podreload/daemonset/state"
	"github.com/podreload/podreload/daemonset/template"
	"github.com/podreload/podreload/shim"
)

// Runner runs commands inside containers as these would.
type Runner interface {
	Run(ctx context.Context, container daemonset.Container, command exec.Command) (exec.Result, error)
}

// reload is a reload_cmd and the resources that have it.
type reload struct {
	exec.Command
	resources []string
}

// reloads are the reload commands of the job's resources, each once.
func reloads(job Job) []reload {
	var all []reload
	for _, r := range job.Bound.Resources {
		args := daemonset.SplitCommand(r.ReloadCommand())
		if len(args) == 0 {
			continue
		}
		i := slices.IndexFunc(all, func(other reload) bool { return slices.Equal(other.Args, args) })
		if i < 0 {
			i = len(all)
			all = append(all, reload{Command: exec.Command{Args: args}})
		}
		all[i].resources = append(all[i].resources, r.Name)
		all[i].Timeout = max(all[i].Timeout, r.ReloadTimeout)
	}
	return all
}

// due are those to be run: of what has changed, as confd does it, or all where nothing is
// known of what the server has read. What has no command is told to a server that is
// known by those of the others: what it has not read is not live.
func due(all []reload, job Job, owed bool, files []daemonset.File, result shim.Result, unread map[string]bool) (out []reload) {
	_, server, _ := presetOf(job.profile())
	var changed []string
	for i, r := range result.Files {
		if i < len(files) && (r.Changed || unread[files[i].Path]) {
			changed = append(changed, files[i].Resource)
		}
	}
	if len(changed) == 0 && !owed {
		return nil
	}
	for _, r := range all {
		if owed || slices.ContainsFunc(changed, func(name string) bool {
			return slices.Contains(r.resources, name) || server && !hasCommand(all, name) || !hasResource(job, name)
		}) {
			out = append(out, r)
		}
	}
	return out
}

func hasCommand(all []reload, name string) bool {
	return slices.ContainsFunc(all, func(r reload) bool { return slices.Contains(r.resources, name) })
}

// hasResource is false for what was removed, and for what comes back.
func hasResource(job Job, name string) bool {
	return slices.ContainsFunc(job.Bound.Resources, func(r *template.Resource) bool { return r.Name == name })
}

// runReloads runs reload commands, and keeps what they said. One that fails stops the
// others: the reload stays owed, and the next pass runs all of them. Where a server is
// known it has not taken the configuration; else nobody can tell, and what is in
// place stays.
func (a *Applier) runReloads(ctx context.Context, job Job, c *crossing, commands []reload, rec *state.Record) error {
	var said []string
	for _, r := range commands {
		rec.Told = time.Now()
		job.did.ran = append(job.did.ran, strings.Join(r.Args, " "))
		result, err := a.Exec.Run(ctx, job.Target.Container, r.Command)
		output := result.Output
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			output = exit.Output
		}
		if output != "" {
			said = append(said, output)
		}
		rec.Output = strings.Join(said, "\n")
		if hasSensitive(job.Bound) && rec.Output != "" {
			rec.Output = "(" + unsaid + ")"
		}
		err = hidden(job, err)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return err
		case errors.Is(err, exec.ErrGone):
			return failed(daemonset.Waiting, err)
		case c.preset != nil && !errors.Is(err, exec.ErrAway) && !errors.Is(err, exec.ErrNotStarted):
			return failed(daemonset.Failed, fmt.Errorf("%w: %w", ErrNotVerified, err))
		default:
			return failed(daemonset.Failed, err)
		}
	}
	return nil
}

const unsaid = "what it said is not shown: the profile has a sensitive file"

// hidden is a command's error without its output where that may quote a sensitive file.
func hidden(job Job, err error) error {
	exit, ended := errors.AsType[*exec.ExitError](err)
	_, cut := errors.AsType[*exec.CutShortError](err)
	if !hasSensitive(job.Bound) || !ended && !cut {
		return err
	}
	for _, why := range []error{context.Canceled, exec.ErrGone, exec.ErrAway, exec.ErrDeadline, context.DeadlineExceeded} {
		if errors.Is(err, why) {
			return fmt.Errorf("a reload command: %w; %s", why, unsaid)
		}
	}
	if !ended {
		return errors.New("a reload command was cut short; " + unsaid)
	}
	return fmt.Errorf("a reload command ended with exit code %d; %s", exit.Code, unsaid)
}

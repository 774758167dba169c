package template

import (
	"errors"
	"fmt"
	"path"
	"strings"
	texttemplate "text/template"
)

// RenderError says which template failed, where, and what to do. It wraps the
// cause: [ErrNoKey], [ErrNoContainer], [ErrTooLarge], [ErrTooLong], [ErrTooDeep],
// or what a function returned.
type RenderError struct {
	File         string // the template, below confdir
	Line, Column int    // from 1; 0 when not known
	Message      string
	Profile      string
	Resource     string
	Hint         string // what to do
	Err          error  // nil for a sensitive resource, unless it is one of ours
	Asked        Asked  // what it depended on until it failed
}

func (e *RenderError) Error() string {
	at := Problem{File: e.File, Line: e.Line, Message: e.Message}
	return fmt.Sprintf("%s (profile %s, resource %s); %s", at, e.Profile, e.Resource, e.Hint)
}

func (e *RenderError) Unwrap() error { return e.Err }

// renderError makes text/template's error one for people. Its messages can
// quote values, so of a sensitive resource only the place is told.
func renderError(p *Profile, r *Resource, err error, asked Asked) *RenderError {
	src, err := innermost(r.Src, err)
	e := &RenderError{
		File: path.Join("templates", src), Profile: p.Name, Resource: r.Name,
		Hint: "mend the template or the value", Err: err, Asked: asked,
	}
	var message string
	e.Line, e.Column, message = cutLocation(path.Base(src), err.Error())
	var over overrun
	var bad Problem
	var format *formatError
	var ask *askError
	switch {
	case errors.As(err, &bad): // included, and does not even parse
		e.Line, e.Message = bad.Line, bad.Message
	case errors.As(err, &over):
		e.Line, e.Column = over.line, 0
		e.Message = over.Error()
		e.Hint = "narrow what the template ranges over"
	case errors.Is(err, ErrNoKey):
		e.Message = functionError(err).Error()
		e.Hint = "put the key or give getv a default"
	case errors.Is(err, ErrNoContainer):
		e.Message = functionError(err).Error()
		e.Hint = "render for a target, or say what the pod would"
	case errors.As(err, &ask):
		if e.Message = ask.Error(); r.Sensitive {
			e.Message = "cannot ask the container" // why may have the name of what was asked for
		}
		e.Hint = "it is asked again"
	case errors.As(err, &format) && r.Sensitive:
		e.Message = format.where()
		e.Err = nil
	case r.Sensitive:
		e.Message = "a function failed; what it said is not shown, since the resource is sensitive"
		e.Err = nil
	default:
		// `executing "NAME" at <NODE>: MESSAGE`: who executes is known.
		if _, at, ok := strings.Cut(message, " at <"); ok {
			message = "at <" + at
		}
		e.Message = strings.Replace(message, "error calling ", "", 1)
	}
	return e
}

// functionError is the error that a function returned, without what
// text/template put around it.
func functionError(err error) error {
	var exec texttemplate.ExecError
	if errors.As(err, &exec) && exec.Err != nil {
		if inner := errors.Unwrap(exec.Err); inner != nil {
			return inner
		}
	}
	return err
}

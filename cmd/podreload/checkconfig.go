package main

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/podreload/podreload/daemonset/template"
	"github.com/podreload/podreload/daemonset/verify"
)

// confReport is what check-config found.
type confReport struct {
	Confdir  string        `json:"confdir"`
	Profiles []confProfile `json:"profiles"`
	Findings []confFound   `json:"findings"` // errors, warnings, notes
}

type confProfile struct {
	Name      string         `json:"name"`
	OK        bool           `json:"ok"`
	Resources []confResource `json:"resources"`
}

// confResource is a resource, with what its profile makes of it.
type confResource struct {
	Name   string   `json:"name"`
	Src    string   `json:"src"`
	Dest   string   `json:"dest"`
	Keys   []string `json:"keys"` // with the prefix before them
	Reload string   `json:"reload,omitempty"`
	Check  string   `json:"check,omitempty"`
}

// confFound is one thing that is to be said of a file.
type confFound struct {
	Kind    string `json:"kind"` // error, warning or note
	File    string `json:"file"` // below the confdir
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Profile string `json:"profile,omitempty"`
	Message string `json:"message"`
}

var checkConfigCommand = &cli.Command{
	Name:  "check-config",
	Usage: "read conf.d and templates, and say what is wrong; needs neither etcd nor containerd",
	Description: "Lists every profile with its resources, then what was found. An error stops its profile; a warning stops\n" +
		"nothing; a note says what a field of confd means here. Exits with 1 if there are errors. --confdir stands before\n" +
		"the command: podreload --confdir DIR check-config.",
	Flags: formatFlags("table"),
	Action: func(_ context.Context, c *cli.Command) error {
		if err := noArgs(c); err != nil {
			return err
		}
		if err := sayConfd(c); err != nil {
			return err
		}
		config, err := template.Load(c.String("confdir"))
		if err != nil {
			return err
		}
		r := reportOf(config)
		r.Confdir = c.String("confdir")
		if err := print(c, r, r.table()); err != nil {
			return err
		}
		if c.String("output") == "table" && len(r.Findings) > 0 {
			fmt.Fprintln(c.Root().Writer)
			if err := r.findings().write(c.Root().Writer); err != nil {
				return err
			}
		}
		if n := r.errors(); n > 0 {
			return fmt.Errorf("%s: %d of %d findings are errors", r.Confdir, n, len(r.Findings))
		}
		return nil
	},
}

func reportOf(config *template.Config) confReport {
	r := confReport{Profiles: []confProfile{}, Findings: []confFound{}}
	for _, p := range config.Profiles {
		row := confProfile{Name: p.Name, OK: p.Err == nil, Resources: []confResource{}}
		for _, res := range p.Resources {
			row.Resources = append(row.Resources, confResource{
				Name: res.Name, Src: res.Src, Dest: res.Dest, Keys: absoluteKeys(res), Reload: reloadOf(p, res), Check: checkOf(p, res),
			})
		}
		r.Profiles = append(r.Profiles, row)
	}
	add := func(kind string, p template.Problem) {
		r.Findings = append(r.Findings, confFound{kind, p.File, p.Line, p.Column, p.Profile, p.Message})
	}
	for _, p := range config.Problems {
		if !p.Warning {
			add("error", p)
		}
	}
	for _, p := range config.Problems {
		if p.Warning {
			add("warning", p)
		}
	}
	for _, p := range config.Notes {
		add("note", p)
	}
	return r
}

// errors is how many of the findings stop a profile.
func (r confReport) errors() (n int) {
	for _, f := range r.Findings {
		if f.Kind == "error" {
			n++
		}
	}
	return n
}

func absoluteKeys(r *template.Resource) []string {
	keys := []string{}
	for _, k := range r.Keys {
		keys = append(keys, path.Join(r.Prefix, k))
	}
	return keys
}

// reloadOf is how the server learns of a change. Commands come before the
// signal of the profile's process.
func reloadOf(p *template.Profile, r *template.Resource) string {
	switch {
	case r.ReloadCmd != "":
		return r.ReloadCmd
	case r.ReloadSignal != "":
		return "signal " + r.ReloadSignal
	case slices.ContainsFunc(p.Resources, func(r *template.Resource) bool { return r.ReloadCmd != "" }):
		return ""
	case p.Matcher != nil:
		return "signal " + strings.TrimPrefix(p.Matcher.Signal, "SIG")
	}
	if preset, err := verify.Lookup(p.Process); err == nil {
		return "signal " + verify.SignalName(preset.Signal)
	}
	return ""
}

// checkOf is what tries a change before it is made: commands, else the server's
// own way.
func checkOf(p *template.Profile, r *template.Resource) string {
	switch {
	case p.Check == template.CheckOff:
		return "off"
	case r.CheckCmd != "":
		return r.CheckCmd
	case slices.ContainsFunc(p.Resources, func(r *template.Resource) bool { return r.CheckCmd != "" }):
		return ""
	}
	return p.Process
}

func (r confReport) table() table {
	t := table{header: []string{"PROFILE", "RESOURCE", "SRC", "DEST", "KEYS", "RELOAD", "CHECK", "OK"}}
	for _, p := range r.Profiles {
		ok := "yes"
		if !p.OK {
			ok = "NO"
		}
		for _, res := range p.Resources {
			t.rows = append(t.rows, []string{p.Name, res.Name, res.Src, res.Dest, strings.Join(res.Keys, ","), res.Reload, res.Check, ok})
		}
		if len(p.Resources) == 0 {
			t.rows = append(t.rows, []string{p.Name, "", "", "", "", "", "", ok})
		}
	}
	return t
}

func (r confReport) findings() table {
	t := table{header: []string{"WHERE", "KIND", "FINDING"}}
	for _, f := range r.Findings {
		where := f.File
		if f.Line > 0 {
			where += fmt.Sprintf(":%d", f.Line)
		}
		if f.Column > 0 {
			where += fmt.Sprintf(":%d", f.Column)
		}
		t.rows = append(t.rows, []string{where, f.Kind, f.Message})
	}
	return t
}

package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/podreload/podreload/daemonset/template"
)

// profileRow is a profile as commands print it.
type profileRow struct {
	Name       string        `json:"name"`
	Select     string        `json:"select,omitempty"`
	Namespaces []string      `json:"namespaces,omitempty"`
	Process    string        `json:"process,omitempty"`
	Container  string        `json:"container,omitempty"`
	Check      string        `json:"check"`
	Keys       []string      `json:"keys"`
	Resources  []resourceRow `json:"resources"`
	Error      string        `json:"error,omitempty"`
}

type resourceRow struct {
	Name         string `json:"name"`
	Src          string `json:"src"`
	Dest         string `json:"dest"`
	ReloadSignal string `json:"reloadSignal,omitempty"`
}

var profilesCommand = &cli.Command{
	Name:  "profiles",
	Usage: "list the profiles of conf.d and what is wrong with them",
	Flags: listFlags(),
	Action: func(_ context.Context, c *cli.Command) error {
		if err := noArgs(c); err != nil {
			return err
		}
		config, err := loadProfiles(c)
		if err != nil {
			return err
		}
		rows := []profileRow{}
		t := table{header: []string{"PROFILE", "SELECT", "PROCESS", "CHECK", "RESOURCES", "KEYS", "ERROR"}}
		for _, p := range config.Profiles {
			r := rowOf(p)
			rows = append(rows, r)
			t.rows = append(t.rows, []string{
				r.Name, r.Select, r.Process, r.Check, strconv.Itoa(len(r.Resources)),
				strings.Join(r.Keys, ","), r.Error,
			})
		}
		return print(c, rows, t)
	},
}

func rowOf(p *template.Profile) profileRow {
	r := profileRow{
		Name: p.Name, Select: p.Select, Namespaces: p.Namespaces, Process: process(p), Container: p.Container,
		Check: p.Check, Keys: p.Keys(), Resources: []resourceRow{},
	}
	for _, res := range p.Resources {
		r.Resources = append(r.Resources, resourceRow{Name: res.Name, Src: res.Src, Dest: res.Dest, ReloadSignal: res.ReloadSignal})
	}
	if p.Err != nil {
		r.Error = p.Err.Error()
	}
	return r
}

// process is the preset that a profile names, or what its matcher looks for.
func process(p *template.Profile) string {
	if p.Matcher != nil {
		return strings.Join(p.Matcher.Exe, "|")
	}
	return p.Process
}

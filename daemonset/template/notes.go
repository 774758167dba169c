package template

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"text/template/parse"

	"github.com/podreload/podreload/daemonset"
)

// What is right as it is, and yet not quite what it means to confd, is noted, for
// whoever moves a tree over. Nothing here stops anything or is logged.

func (f *file) note(key, format string, args ...any) Problem {
	n := f.problem(key, format, args...)
	n.Warning = true
	return n
}

// notes are those on the keys of the file's [template].
func (f *file) notes(p *Profile, waits bool) (notes []Problem) {
	t, r := f.doc.Template, f.resource
	if t == nil || r == nil {
		return nil
	}
	note := func(key, format string, args ...any) {
		n := f.note("template."+key, format, args...)
		n.Profile = p.Name
		notes = append(notes, n)
	}
	if len(t.Keys) == 0 {
		note("keys", "no keys: it is rendered all the same; confd never does with -watch")
	}
	if r.UID != nil {
		note("uid", "uid %d is a user of the container, not of the node", *r.UID)
	}
	if r.GID != nil {
		note("gid", "gid %d is a group of the container, not of the node", *r.GID)
	}
	for key, name := range map[string]string{"owner": t.Owner, "group": t.Group} {
		if name != "" {
			note(key, "%s %q is looked up in the container, not on the node", key, name)
		}
	}
	if t.CheckCmd != "" {
		note("check_cmd", "check_cmd runs as the container's user in a twin of the container, where the new files stand at their dests%s; {{.src}} is %s",
			byShell(t.CheckCmd), r.Dest)
	}
	if t.ReloadCmd != "" {
		note("reload_cmd", "reload_cmd runs inside the container, as its user and with its environment%s; equal ones of a profile run once", byShell(t.ReloadCmd))
	}
	if r.Debounce > 0 && waits {
		note("debounce", "debounce is not used: wait in [profile] stands before it")
	} else if r.Debounce > 0 {
		note("debounce", "debounce is a quiet period of the whole profile: %v without a change, and %v at most", p.Wait, p.WaitMax)
	}
	if r.MinReloadInterval > 0 {
		note("min_reload_interval", "min_reload_interval counts for the whole profile, %v here; a reload that it holds back comes at its end", p.MinReloadInterval)
	}
	return notes
}

// byShell says it where a command cannot do without a shell.
func byShell(command string) string {
	if args := daemonset.SplitCommand(command); len(args) > 0 && args[0] == daemonset.Shell {
		return ", by the image's own " + daemonset.Shell
	}
	return ""
}

// notes are those on the profile, and on its files.
func (g *members) notes(p *Profile) (notes []Problem) {
	for _, f := range g.files {
		notes = append(notes, f.notes(p, g.waits)...)
	}
	if p.Err != nil {
		return notes
	}
	first := g.files[0]
	note := func(key, format string, args ...any) {
		n := first.note(key, format, args...)
		n.Profile = p.Name
		notes = append(notes, n)
	}
	if p.Selector == nil && choosable(p.Name) {
		note("profile", "only pods with the label podreload.io/profile: %s have this profile; select in [profile] chooses by labels that pods have already", p.Name)
	}
	commands := func(r *Resource) bool { return r.ReloadCmd != "" || r.ReloadSignal != "" }
	switch known := p.Process != "" || p.Matcher != nil; {
	case known:
	case slices.ContainsFunc(p.Resources, commands):
		note("profile", "no process in [profile]: nothing proves that the server took a reload, so its state is Applied and never Live")
	default:
		note("profile", "neither process in [profile] nor reload_cmd nor reload_signal: nobody is told of a change")
	}
	return notes
}

// apart is the note that plain files side by side in conf.d are a profile each.
func apart(groups []*members) []Problem {
	var names []string
	for _, g := range groups {
		f := g.files[0]
		if len(g.files) == 1 && f.resource != nil && f.doc.Profile == nil && !strings.Contains(f.id(), "/") {
			names = append(names, strings.TrimSuffix(f.id(), ".toml"))
		}
	}
	if len(names) < 2 {
		return nil
	}
	return []Problem{{File: "conf.d", Warning: true, Message: fmt.Sprintf("a profile each: %s. A container has one profile: those of one server "+
		`belong together by one more file, with [profile] and resources = ["%s"]`, strings.Join(names, ", "), strings.Join(names, `", "`))}}
}

// asking are the functions that ask the container here, and confd's own
// surroundings there.
var asking = map[string]string{
	"getenv": "environment", "hostname": "host name", "fileExists": "files",
	"lookupIP": "network", "lookupIPV4": "network", "lookupIPV6": "network", "lookupSRV": "network",
	"lookupIfaceIPV4": "network", "lookupIfaceIPV6": "network",
}

// noteAsking notes the first call of each of those functions.
func (f *templateFile) noteAsking(text []byte, n parse.Node) {
	call, ok := n.(*parse.IdentifierNode)
	if !ok || asking[call.Ident] == "" {
		return
	}
	message := fmt.Sprintf("%s asks for the container's %s, not the agent's", call.Ident, asking[call.Ident])
	if slices.ContainsFunc(f.notes, func(n Problem) bool { return n.Message == message }) {
		return
	}
	at := min(int(call.Pos), len(text))
	f.notes = append(f.notes, Problem{
		File: f.path(), Line: lineAt(text, at), Column: at - bytes.LastIndexByte(text[:at], '\n'), Message: message, Warning: true,
	})
}

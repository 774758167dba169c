package template

import (
	"errors"
	"strings"
	texttemplate "text/template"
	"time"
)

// maxCommand bounds the making of a command.
var maxCommand = limits{bytes: 64 << 10, time: 100 * time.Millisecond, memory: maxHeld}

// CheckCommand is check_cmd with {{.src}} filled in, empty without one. As in
// confd the command reads {{.src}} to see the new file; here that is the dest
// itself, since it runs where the new file is in place.
func (r *Resource) CheckCommand() (string, error) {
	return command("check_cmd", r.CheckCmd, map[string]string{"src": r.Dest})
}

// ReloadCommand is reload_cmd, empty without one. Text without "{{" is literal,
// as in the original confd; with it, it is a template, as in the fork. {{.src}}
// and {{.dest}} are both the dest: nothing is staged any more when it runs.
func (r *Resource) ReloadCommand() (string, error) {
	return command("reload_cmd", r.ReloadCmd, map[string]string{"src": r.Dest, "dest": r.Dest})
}

func command(name, text string, dot map[string]string) (string, error) {
	if !strings.Contains(text, "{{") {
		return text, nil
	}
	if len(control.FindAllStringIndex(text, maxControls+1)) > maxControls {
		return "", errControls
	}
	b := newBudget(maxCommand)
	t, err := texttemplate.New(name).Funcs(printers).Parse(text)
	if err != nil {
		return "", err
	}
	for _, part := range t.Templates() {
		if err := guard(part.Root); err != nil {
			return "", err
		}
	}
	out, err := b.execute(t, maxCommand.bytes, 0, dot)
	var over overrun
	switch {
	case errors.As(err, &over):
		return "", over
	case err != nil:
		return "", err
	}
	return string(out), nil
}

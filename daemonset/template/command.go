package template

import (
	"errors"
	"regexp"
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

// destAction is what reload_cmd may have of confd's fork.
var destAction = regexp.MustCompile(`\{\{-?\s*\.(src|dest)\s*-?\}\}`)

// ReloadCommand is reload_cmd, empty without one. As in the original confd it is
// literal; of the fork, where it is a template, it has {{.src}} and {{.dest}}. Both are
// the dest: nothing is staged any more when it runs.
func (r *Resource) ReloadCommand() string {
	return destAction.ReplaceAllLiteralString(r.ReloadCmd, r.Dest)
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

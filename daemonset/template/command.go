package template

import (
	"errors"
	texttemplate "text/template"
	"time"
)

// maxCheckCmd bounds the making of a check command.
var maxCheckCmd = limits{bytes: 64 << 10, time: 100 * time.Millisecond}

// checkCmdName is what text/template calls a check command in its errors.
const checkCmdName = "check_cmd"

// CheckCommand is check_cmd with {{.src}} filled in, empty without one. As in
// confd the command reads {{.src}} to see the new file; here that is the dest
// itself, since it runs where the new file is in place.
func (r *Resource) CheckCommand() (string, error) {
	if r.CheckCmd == "" {
		return "", nil
	}
	b := &budget{deadline: time.Now().Add(maxCheckCmd.time)}
	t, err := texttemplate.New(checkCmdName).Funcs(texttemplate.FuncMap{
		tickFunc: b.tick, enterFunc: b.enter, leaveFunc: b.leave,
	}).Parse(r.CheckCmd)
	if err != nil {
		return "", err
	}
	for _, part := range t.Templates() {
		if err := guard(part.Root); err != nil {
			return "", err
		}
	}
	out := &output{limit: maxCheckCmd.bytes}
	err = t.Execute(out, map[string]string{"src": r.Dest})
	var over overrun
	switch {
	case errors.As(err, &over):
		return "", over
	case err != nil:
		return "", err
	}
	return string(out.data), nil
}

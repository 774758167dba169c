package template

import (
	"fmt"
	"slices"
	"strings"
)

// signals that a server may be told to reload by. KILL and STOP are missing
// because no process can catch them.
var signals = []string{
	"ALRM", "CONT", "HUP", "INT", "QUIT", "TERM", "TSTP",
	"TTIN", "TTOU", "URG", "USR1", "USR2", "WINCH",
}

// parseSignal gives a signal its short name: HUP for hup and SIGHUP.
func parseSignal(s string) (string, error) {
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	if !slices.Contains(signals, name) {
		return "", fmt.Errorf("unknown signal %q%s", s, didYouMean(name, signals))
	}
	return name, nil
}

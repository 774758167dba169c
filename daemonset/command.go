package daemonset

import (
	"slices"
	"strings"
)

// shell are the characters that a shell reads as other than themselves wherever
// they stand.
const shell = "|&;<>()$`\\\"'*?[\n"

// builtins are the words that only a shell can run.
var builtins = []string{
	"!", ".", ":", "case", "cd", "eval", "exec", "export", "for", "if", "set", "source", "trap", "ulimit", "umask", "unset", "until", "while", "{",
}

// SplitCommand makes a command's arguments of check_cmd or reload_cmd, which confd
// hands to a shell. One without shell syntax is split into words instead: that comes
// to the same, and works in an image without a shell too.
func SplitCommand(line string) []string {
	words := strings.Fields(line)
	if strings.ContainsAny(strings.TrimSpace(line), shell) || needShell(words) {
		return []string{"/bin/sh", "-c", line}
	}
	return words
}

func needShell(words []string) bool {
	if len(words) > 0 && (strings.Contains(words[0], "=") || slices.Contains(builtins, words[0])) {
		return true
	}
	return slices.ContainsFunc(words, func(w string) bool { return w[0] == '#' || w[0] == '~' })
}

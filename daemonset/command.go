package daemonset

import (
	"slices"
	"strings"
)

// Shell is what runs a command that has shell syntax.
const Shell = "/bin/sh"

// syntax are the characters that a shell reads as other than themselves wherever
// they stand.
const syntax = "|&;<>()$`\\\"'*?[\n"

// builtins are the words that only a shell can run, and kill, which many an image
// has no program of.
var builtins = []string{
	"!", ".", ":", "alias", "break", "case", "cd", "command", "continue", "eval", "exec", "exit", "export", "for", "getopts", "hash",
	"if", "kill", "local", "read", "readonly", "return", "set", "shift", "source", "times", "trap", "type", "ulimit", "umask", "unset",
	"until", "wait", "while", "{",
}

// SplitCommand makes a command's arguments of check_cmd or reload_cmd, which confd
// hands to a shell. One without shell syntax is split into words instead: that comes
// to the same, and works in an image without a shell too.
func SplitCommand(line string) []string {
	words := strings.Fields(line)
	if strings.ContainsAny(strings.TrimSpace(line), syntax) || needShell(words) {
		return []string{Shell, "-c", line}
	}
	return words
}

func needShell(words []string) bool {
	if len(words) > 0 && (strings.Contains(words[0], "=") || slices.Contains(builtins, words[0])) {
		return true
	}
	return slices.ContainsFunc(words, func(w string) bool { return w[0] == '#' || w[0] == '~' })
}

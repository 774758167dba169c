package verify

import (
	"fmt"
	"slices"
	"strings"

	"github.com/podreload/podreload/nsenter"
)

// maxCommand caps what is read of a master's command line and environment,
// each: the kernel's own limit for both together (execve(2)).
const maxCommand = 6 << 20

// Options says how a server reads its command line, as far as that names the
// configuration. Options are single letters.
type Options struct {
	Joined bool     // as getopt(3): letters may share a word, and a value may follow in it
	Valued string   // options that take a value
	Config string   // those of them that say what the configuration is
	Words  []string // options without a value that change how it is read
	Rest   bool     // what follows "--" are configurations

	// Env says that configurations use the environment. Variables whose names
	// begin with Own are left out: the server sets them for itself.
	Env bool
	Own string
}

// Command is what tries a configuration as the running server would read it.
type Command struct {
	Args []string
	Env  []string // KEY=value; for the container's own environment to be amended with
}

// CheckCommand is the command that tries the configuration the master was
// started with: its own executable and arguments. The caller runs it where a
// process of the container may be run, as all of it is the container's to say;
// and, like a title, it is read from the master's memory, so that it can hang.
//
// The error wraps [ErrUnprovable] when there is no such command, and [ErrGone]
// when the master has ended.
func (p Preset) CheckCommand(master *nsenter.Process) (Command, error) {
	c, err := p.checkCommand(master)
	if gone := master.Alive(); gone != nil {
		err = gone // and what was read may have been another's
	}
	if err != nil {
		return Command{}, fmt.Errorf("how to check the configuration of %s: %w", p.Name, err)
	}
	return c, nil
}

func (p Preset) checkCommand(master *nsenter.Process) (Command, error) {
	if len(p.Check) == 0 {
		return Command{}, fmt.Errorf("%w: it has no command for that; give the resource a check_cmd", ErrUnprovable)
	}
	info, err := master.Info()
	if err != nil {
		return Command{}, err
	}
	argv, err := readWords(master.Pid(), "cmdline")
	if err != nil {
		return Command{}, err
	}
	c := Command{Args: p.CheckArgs(argv)}
	c.Args[0] = strings.TrimSuffix(info.Exe, " (deleted)")
	if p.Options.Env {
		env, err := readWords(master.Pid(), "environ")
		if err != nil {
			return Command{}, err
		}
		c.Env = slices.DeleteFunc(env, func(kv string) bool {
			return !strings.Contains(kv, "=") || p.Options.Own != "" && strings.HasPrefix(kv, p.Options.Own)
		})
	}
	return c, nil
}

// readWords reads a file of /proc that holds strings, each with a NUL behind it.
func readWords(pid int, file string) ([]string, error) {
	b, err := nsenter.ReadProc(pid, file, maxCommand+1)
	switch {
	case err != nil:
		return nil, gone(pid, err)
	case len(b) > maxCommand:
		return nil, fmt.Errorf("/proc/%d/%s is longer than %d bytes", pid, file, maxCommand)
	}
	// A title is shorter than the arguments were, and has NULs for the rest.
	return strings.Split(strings.TrimRight(string(b), "\x00"), "\x00"), nil
}

// CheckArgs makes of the arguments that a master was started with those that
// try its configuration. Arguments before the executable's, as of a wrapper,
// are left out. Without the executable in them the configuration is taken to be
// the one that the server looks for by itself.
func (p Preset) CheckArgs(argv []string) []string {
	program, own, titled := p.Exe[0], []string(nil), false
	// What has a space in it is a title, or a shell's command.
	named := func(arg string) bool { return !strings.ContainsAny(arg, " \t\n") && p.Matches(arg) }
	if i := slices.IndexFunc(argv, named); i >= 0 {
		program, own = argv[i], argv[i+1:]
	} else if title, ok := p.title(argv); ok {
		words := strings.Split(title, " ")
		program, own, titled = words[0], words[1:], true
	}
	return slices.Concat([]string{program}, p.Check, p.Options.config(own, titled))
}

// title is what follows the words of a master that writes its arguments behind
// a title of its own.
func (p Preset) title(argv []string) (string, bool) {
	if p.Master == "" || len(argv) == 0 {
		return "", false
	}
	return strings.CutPrefix(argv[0], p.Master+" ")
}

// config picks the words that say what the configuration is. In a title the
// words are joined by spaces, so that a value may be several.
func (o Options) config(words []string, titled bool) []string {
	var kept []string
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		switch {
		case word == "--" && o.Rest:
			return append(append(kept, word), words...)
		case word == "--":
			return kept
		case slices.Contains(o.Words, word):
			kept = append(kept, word)
			continue
		case len(word) < 2 || word[0] != '-' || !o.Joined && len(word) > 2:
			continue
		}
		letters := word[1:]
		n := strings.IndexAny(letters, o.Valued)
		if n < 0 {
			continue
		}
		option, value := letters[n:n+1], letters[n+1:]
		if value == "" && len(words) > 0 {
			value, words = words[0], words[1:]
		}
		for titled && len(words) > 0 && goesOn(option, value, words[0]) {
			value, words = value+" "+words[0], words[1:]
		}
		if strings.Contains(o.Config, option) {
			kept = append(kept, "-"+option, value)
		}
	}
	return kept
}

// goesOn reports whether next is part of the value before it, in a title. The
// directives of nginx's -g end in ";" or "}", and a "-" may be within.
func goesOn(option, value, next string) bool {
	if !strings.HasPrefix(next, "-") {
		return true
	}
	value = strings.TrimSpace(value)
	return option == "g" && !strings.HasSuffix(value, ";") && !strings.HasSuffix(value, "}")
}

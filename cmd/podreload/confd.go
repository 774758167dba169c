package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v3"
)

// confd's settings, of its command line's environment and of <confdir>/confd.toml,
// count where they mean here what they mean there. They come last:
// flag > environment > podreload.toml > confd's environment > confd.toml > default.
// What means something and is not taken over is said, once, by the commands that
// it would matter to.

// confdSetting is a setting of confd's, of the original or of the fork.
type confdSetting struct {
	key     string                  // in confd.toml, "_" for "-" as well
	flag    string                  // the global flag that is the same thing
	harmful func(value string) bool // not taken over, and missed then; nil: whenever it is set
	instead string                  // what to do then
}

// variable is the setting's name in the environment.
func (s confdSetting) variable() string { return "CONFD_" + strings.ToUpper(s.key) }

var confdSettings = []confdSetting{
	{key: "nodes", flag: "endpoints"},
	{key: "client_cakeys", flag: "cacert"},
	{key: "client_cert", flag: "cert"},
	{key: "client_key", flag: "key"},
	{key: "confdir", flag: "confdir"},
	{key: "log_format", flag: "log-format"},

	{key: "log_level", harmful: isNot([]string{"debug", "info"}), instead: "the log has two levels: info, and debug with --debug"},
	{key: "prefix", harmful: isNot([]string{"/"}), instead: "write it into the prefix of each resource (the original puts it in place of that, its fork before it)"},
	{key: "client_insecure", harmful: isNot(no), instead: "etcd's certificate is always verified; name its authority with --cacert"},
	{key: "scheme", harmful: isNot([]string{"http"}), instead: "write https:// in nodes, or in --endpoints"},
	{key: "srv_domain", instead: "name the members of etcd with --endpoints"},
	{key: "srv_record", instead: "name the members of etcd with --endpoints"},
	{key: "onetime", harmful: isNot(no), instead: "podreload apply --all makes one pass"},
	{key: "watch", harmful: isNot(yes), instead: "podreload daemon always follows etcd"},
	{key: "interval", instead: "podreload daemon always follows etcd, and looks for drift every --resync"},
	{key: "noop", harmful: isNot(no), instead: "podreload apply --dry-run, diff, check and render change nothing"},
	{key: "sync_only", harmful: isNot(no), instead: `set check = "off" in [profile], and leave process, reload_cmd and reload_signal out`},
	{key: "keep_stage_file", harmful: isNot(no), instead: "podreload render prints the files"},
	{key: "failure_mode", harmful: isNot([]string{"best-effort"}), instead: "a profile that fails stops no other"},
	{key: "debounce", instead: "set wait in [profile]"},
	{key: "batch_interval", instead: "set wait in [profile]"},
	{key: "check_cmd_timeout", instead: "set it in the resource"},
	{key: "reload_cmd_timeout", instead: "set it in the resource"},
	{key: "backend_timeout", instead: "see --timeout"},
	{key: "dial_timeout", instead: "see --timeout"},
	{key: "metrics_addr", instead: "podreload daemon --listen serves metrics, with names of its own, and /healthz and /readyz"},
	{key: "systemd_notify", harmful: isNot(no), instead: "podreload does not notify systemd; use Type=exec, and no WatchdogSec"},
	{key: "secret_keyring", instead: "encrypted values are not read; confd dropped them after v0.16"},
}

// isNot is for settings that do no harm with these values.
func isNot(values []string) func(string) bool {
	return func(value string) bool { return !slices.Contains(values, strings.ToLower(value)) }
}

// How confd and its fork take a boolean.
var (
	yes = []string{"true", "1", "yes", "y", "on", "t"}
	no  = []string{"false", "0", "no", "n", "off", "f"}
)

// confdFound is what was found of confd's settings, for the commands that use them.
type confdFound struct {
	warnings  []string
	elsewhere error  // they are for another store than etcd
	noop      string // who says that nothing is to be changed
	err       error  // confd.toml cannot be read
	said      bool
}

func confdOf(c *cli.Command) *confdFound {
	found, _ := c.Root().Metadata["confd"].(*confdFound)
	if found == nil {
		found = &confdFound{}
	}
	return found
}

// sayConfd says what of confd's settings is not taken over. It comes before
// anything that they are about.
func sayConfd(c *cli.Command) error {
	found := confdOf(c)
	if found.err != nil {
		return &codeError{code: exitUsage, err: found.err}
	}
	if !found.said {
		for _, w := range found.warnings {
			logrus.Warn(w)
		}
	}
	found.said = true
	return nil
}

// confdSource is [sayConfd] for a command that reads etcd.
func confdSource(c *cli.Command) error {
	if err := sayConfd(c); err != nil {
		return err
	}
	if err := confdOf(c).elsewhere; err != nil {
		return &codeError{code: exitUsage, err: err}
	}
	return nil
}

// confdForbids is for a command that changes containers: whoever told confd to
// change nothing must not be surprised.
func confdForbids(c *cli.Command) error {
	if who := confdOf(c).noop; who != "" {
		return usagef("%s says that nothing is to be changed: take it out; podreload apply --dry-run, diff, check and render change nothing", who)
	}
	return nil
}

// completeFromConfd sets the global flags that nothing else has set.
func completeFromConfd(c *cli.Command) {
	found := &confdFound{}
	c.Root().Metadata = map[string]any{"confd": found}
	values := confdEnvironment(os.Environ())
	set := func(flag string, v confdValue) {
		if found.err != nil || c.IsSet(flag) || v.text == "" {
			return
		}
		if err := c.Set(flag, v.text); err != nil {
			found.err = fmt.Errorf("%s: %w", v.from, err)
		}
	}
	set("confdir", values["confdir"]) // before the file that lies in it
	file := filepath.Join(c.String("confdir"), "confd.toml")
	if v, ok := values["config_file"]; ok {
		file = v.text
	}
	fromFile, err := readConfdFile(file)
	if err != nil {
		found.err = fmt.Errorf("%s: %w; mend it, or take it away", file, err)
		return
	}
	for key, v := range fromFile {
		if _, ok := values[key]; !ok {
			values[key] = v
		}
	}
	found.warn(values)
	if b := values["backend"]; !slices.Contains([]string{"", "etcd", "etcdv3"}, b.text) {
		found.otherStore(c, b)
		for _, key := range []string{"nodes", "client_cakeys", "client_cert", "client_key", "username"} {
			delete(values, key) // of that store
		}
	}
	if c.IsSet("cert") || c.IsSet("key") { // they are a pair
		delete(values, "client_cert")
		delete(values, "client_key")
	}
	for _, s := range confdSettings {
		if v := values[s.key]; s.flag != "" {
			set(s.flag, v)
		}
	}
	if v := values["log_level"]; v.text == "debug" {
		set("debug", confdValue{"true", v.from})
	}
	found.user(values, set)
}

// otherStore is for settings that are those of another store.
func (f *confdFound) otherStore(c *cli.Command, b confdValue) {
	text := fmt.Sprintf("%s: backend %q is not supported: podreload reads etcd alone", b.from, b.text)
	if c.IsSet("endpoints") {
		f.warnings = append(f.warnings, text+"; it reads the one of --endpoints")
		return
	}
	f.elsewhere = errors.New(text + "; bring the keys there, and name it with --endpoints")
}

// user takes user and password over where confd uses them, which is with
// basic_auth alone.
func (f *confdFound) user(values map[string]confdValue, set func(string, confdValue)) {
	user, password := values["username"], values["password"]
	switch {
	case user.text == "":
	case values["basic_auth"].text != "true":
		f.warnings = append(f.warnings, user.from+" is not used without basic_auth, as in confd: set --user and --password-file if etcd wants them")
	case strings.Contains(user.text, ":"):
		f.warnings = append(f.warnings, user.from+" has a colon in it and is not used: set --user and --password-file")
	case password.text != "":
		set("user", confdValue{user.text + ":" + password.text, user.from})
	default:
		set("user", user)
	}
}

// warn names what is not taken over.
func (f *confdFound) warn(values map[string]confdValue) {
	for _, s := range confdSettings {
		v, ok := values[s.key]
		if !ok || s.flag != "" || v.text == "" || s.harmful != nil && !s.harmful(v.text) {
			continue
		}
		f.warnings = append(f.warnings, fmt.Sprintf("%s = %q is not followed: %s", v.from, v.text, s.instead))
		if s.key == "noop" {
			f.noop = v.from
		}
	}
}

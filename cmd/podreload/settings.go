package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/urfave/cli/v3"
)

// fileSettings are the keys of the settings file: the long names of the global
// flags. A pointer is nil where the file does not set the key.
type fileSettings struct {
	RuntimeEndpoint     *string  `toml:"runtime-endpoint"`
	ContainerdNamespace *string  `toml:"containerd-namespace"`
	NRISocket           *string  `toml:"nri-socket"`
	Endpoints           []string `toml:"endpoints"`
	CACert              *string  `toml:"cacert"`
	Cert                *string  `toml:"cert"`
	Key                 *string  `toml:"key"`
	User                *string  `toml:"user"`
	PasswordFile        *string  `toml:"password-file"`
	NodeName            *string  `toml:"node-name"`
	Confdir             *string  `toml:"confdir"`
	State               *string  `toml:"state"`
	Root                *string  `toml:"root"`
	Timeout             *string  `toml:"timeout"`
	Debug               *bool    `toml:"debug"`
	LogFormat           *string  `toml:"log-format"`
}

// completeFlags sets every global flag that neither the command line nor the
// environment set from the settings file: flag > environment > file > default.
func completeFlags(c *cli.Command) error {
	file := c.String("config")
	if file == "" {
		return nil
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && !c.IsSet("config") {
		return nil
	}
	if err != nil {
		return fmt.Errorf("settings file: %w; give another with --config", err)
	}
	settings, err := parseSettings(text)
	if err != nil {
		return fmt.Errorf("settings file %s: %w", file, err)
	}
	for name, value := range settings.values() {
		if c.IsSet(name) {
			continue
		}
		if err := c.Set(name, value); err != nil {
			return fmt.Errorf("settings file %s: %s = %q: %w", file, name, value, err)
		}
	}
	return nil
}

func parseSettings(text []byte) (fileSettings, error) {
	var s fileSettings
	d := toml.NewDecoder(io.LimitReader(bytes.NewReader(text), 1<<20))
	err := d.DisallowUnknownFields().Decode(&s)
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) {
		row, column := strict.Errors[0].Position()
		return s, fmt.Errorf("line %d, column %d: unknown key %q; the keys are podreload's long flags",
			row, column, strings.Join(strict.Errors[0].Key(), "."))
	}
	return s, atPlace(err)
}

// atPlace gives an error of TOML its line and column.
func atPlace(err error) error {
	if bad, ok := errors.AsType[*toml.DecodeError](err); ok {
		row, column := bad.Position()
		return fmt.Errorf("line %d, column %d: %w", row, column, err)
	}
	return err
}

// values are the keys that the file sets, as the flags take them.
func (s fileSettings) values() map[string]string {
	values := map[string]string{}
	for name, v := range map[string]*string{
		"runtime-endpoint": s.RuntimeEndpoint, "containerd-namespace": s.ContainerdNamespace, "nri-socket": s.NRISocket,
		"cacert": s.CACert, "cert": s.Cert, "key": s.Key, "user": s.User, "password-file": s.PasswordFile,
		"node-name": s.NodeName, "confdir": s.Confdir, "state": s.State, "root": s.Root, "timeout": s.Timeout, "log-format": s.LogFormat,
	} {
		if v != nil {
			values[name] = *v
		}
	}
	if len(s.Endpoints) > 0 {
		values["endpoints"] = strings.Join(s.Endpoints, ",")
	}
	if s.Debug != nil {
		values["debug"] = fmt.Sprint(*s.Debug)
	}
	return values
}

// credentials are etcd's user and password: the password of --user, else of
// the file, which is read again when etcd no longer takes it, else of
// ETCDCTL_PASSWORD.
func credentials(c *cli.Command) (user, password, file string, err error) {
	user, password, _ = strings.Cut(c.String("user"), ":")
	file = c.String("password-file")
	switch {
	case user == "" && file != "":
		return "", "", "", fmt.Errorf("password file %s is for no user: give --user, too", file)
	case user == "" || password != "":
		return user, password, "", nil
	case file != "":
		return user, "", file, nil
	}
	if password = os.Getenv("ETCDCTL_PASSWORD"); password == "" {
		return "", "", "", fmt.Errorf("etcd user %q has no password; give --password-file or ETCDCTL_PASSWORD", user)
	}
	return user, password, "", nil
}

// endpoints are etcd's addresses without empty ones.
func endpoints(c *cli.Command) []string {
	return slices.DeleteFunc(slices.Clone(c.StringSlice("endpoints")), func(s string) bool { return strings.TrimSpace(s) == "" })
}

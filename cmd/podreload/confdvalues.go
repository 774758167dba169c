package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/pelletier/go-toml/v2"
)

// maxConfdFile is the largest confd.toml in bytes that is read.
const maxConfdFile = 1 << 20

// confdValue is a setting's value and where it was found.
type confdValue struct{ text, from string }

// confdEnvironment are confd's variables, by the keys of confd.toml.
func confdEnvironment(environ []string) map[string]confdValue {
	values := map[string]confdValue{}
	known := append(slices.Clone(confdSettings), confdSetting{key: "config_file"})
	for _, s := range known {
		i := slices.IndexFunc(environ, func(e string) bool { return strings.HasPrefix(e, s.variable()+"=") })
		if i < 0 || s.key == "nodes" {
			continue // it has no variable
		}
		if _, value, _ := strings.Cut(environ[i], "="); value != "" {
			values[s.key] = confdValue{value, s.variable()}
		}
	}
	return values
}

// readConfdFile reads confd.toml; none is no error, as there. Keys that are not
// known are left alone: they are of other stores, or tune confd.
func readConfdFile(file string) (map[string]confdValue, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO is not waited for
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, cmp.Or(err, errors.New("is not a regular file"))
	}
	text, err := io.ReadAll(io.LimitReader(f, maxConfdFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxConfdFile:
		return nil, fmt.Errorf("is larger than %d bytes", maxConfdFile)
	}
	return parseConfdFile(file, text)
}

func parseConfdFile(file string, text []byte) (map[string]confdValue, error) {
	var table map[string]any
	if err := toml.NewDecoder(bytes.NewReader(text)).Decode(&table); err != nil {
		return nil, atPlace(err)
	}
	values := map[string]confdValue{}
	for key, value := range table {
		name := strings.ReplaceAll(strings.ToLower(key), "-", "_")
		if !confdKnows(name) {
			continue
		}
		v, err := confdText(value, name == "nodes")
		if err != nil {
			return nil, fmt.Errorf("%s %w", key, err)
		}
		values[name] = confdValue{v, file + ": " + key}
	}
	return values, nil
}

func confdKnows(key string) bool {
	return slices.Contains([]string{"backend", "basic_auth", "username", "password"}, key) ||
		slices.ContainsFunc(confdSettings, func(s confdSetting) bool { return s.key == key })
}

// confdText is a value as a flag takes it.
func confdText(value any, list bool) (string, error) {
	values, isList := value.([]any)
	if list != isList {
		return "", errors.New(map[bool]string{true: "is no list of strings", false: "is a list, and must be one value"}[list])
	}
	if !list {
		switch value.(type) {
		case string, bool, int64:
			return fmt.Sprint(value), nil
		}
		return "", errors.New("is neither text nor a number nor true or false")
	}
	var texts []string
	for _, v := range values {
		text, ok := v.(string)
		if !ok || strings.Contains(text, ",") {
			return "", errors.New("is no list of addresses")
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, ","), nil
}

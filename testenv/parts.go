package testenv

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Version says which containerd a node runs.
type Version string

// The versions of containerd that `make parts` gets.
const (
	Debian Version = "debian" // the distribution's package: 1.6 on Debian 12
	V2     Version = "v2"     // 2.4, built from source, with runc 1.4: the one for user namespaces
)

// Image is the one image that every node has: nginx, haproxy, apache2, busybox and tini.
const Image = "podreload.io/testenv:latest"

// ErrNoParts says that `make parts` has not been run.
var ErrNoParts = errors.New("parts are missing: run `make parts` in the repository")

// parts is the folder that `make parts` fills.
type parts string

// findParts returns $PODRELOAD_PARTS, or build/parts of the repository that the
// working directory is in.
func findParts() (parts, error) {
	dir := os.Getenv("PODRELOAD_PARTS")
	if dir == "" {
		root, err := Repository()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(root, "build", "parts")
	}
	if _, err := os.Stat(filepath.Join(dir, "done")); err != nil {
		return "", fmt.Errorf("%s: %w", dir, ErrNoParts)
	}
	return parts(dir), nil
}

// Parts is the folder that `make parts` has filled.
func Parts() (string, error) {
	p, err := findParts()
	return string(p), err
}

// Repository is the root of the repository that the working directory is in: the
// nearest folder above it with a go.mod.
func Repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		_, err := os.Stat(filepath.Join(dir, "go.mod"))
		if err == nil {
			return dir, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("no go.mod above the working directory: set PODRELOAD_PARTS")
		}
		dir = up
	}
}

// path names a file of the distribution's packages.
func (p parts) path(elem ...string) string {
	return filepath.Join(append([]string{string(p), "root"}, elem...)...)
}

func (p parts) pause() string { return filepath.Join(string(p), "pause") }

func (p parts) etcd() string { return p.path("usr/bin/etcd") }

// bin is the folder with a version's containerd and its shim, and the path of the
// runc that goes with it.
func (p parts) bin(v Version) (dir, runc string, err error) {
	switch v {
	case Debian, "":
		dir, runc = p.path("usr/bin"), p.path("usr/sbin/runc")
	case V2:
		dir = filepath.Join(string(p), "containerd-v2")
		runc = filepath.Join(dir, "runc")
	default:
		return "", "", fmt.Errorf("containerd version %q: want %q or %q", v, Debian, V2)
	}
	for _, file := range []string{filepath.Join(dir, "containerd"), runc} {
		if _, err := os.Stat(file); err != nil {
			return "", "", fmt.Errorf("%w: %w", ErrNoParts, err)
		}
	}
	return dir, runc, nil
}

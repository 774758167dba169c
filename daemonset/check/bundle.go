package check

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/nsenter"
)

// maxFile caps what is read of a bundle's file.
const maxFile = 4 << 20

// bundle is the target as the runtime was given it.
type bundle struct {
	rootfs  string // the live root, as the node sees it
	runtime string // absolute path of the OCI runtime
	spec    []byte // config.json
}

// findBundle finds a container's bundle on the node, and the root and the runtime that go with it.
func findBundle(target *nsenter.Process, c daemonset.Container) (bundle, error) {
	dir, spec, err := findSpec(target, c)
	if err != nil {
		return bundle{}, err
	}
	b := bundle{rootfs: filepath.Join(dir, "rootfs"), spec: spec}
	if err := sameRoot(b.rootfs, target.Pid()); err != nil {
		return bundle{}, err
	}
	if b.runtime, err = findRuntime(dir, shimOf(target)); err != nil {
		return bundle{}, err
	}
	// All of it was the target's, and its shim's, if it is there still.
	return b, target.Alive()
}

// findSpec finds the folder of a container's bundle, and its spec. containerd's API says what spec
// it asked for, and not where its state is; the shim's working directory is a bundle
// (of the sandbox), and the one beside it with the container's id holds what was
// really given to the runtime, with what NRI plugins changed.
func findSpec(target *nsenter.Process, c daemonset.Container) (dir string, spec []byte, err error) {
	if !strings.HasPrefix(c.Runtime, "io.containerd.runc.") {
		return "", nil, fmt.Errorf("%w: runtime %s is not known to run containers as runc does", ErrUnsupported, c.Runtime)
	}
	if c.ID == "" || strings.Trim(c.ID, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_.-") != "" || strings.Trim(c.ID, ".") == "" {
		return "", nil, fmt.Errorf("container id %q is not one", c.ID)
	}
	cwd, err := os.Readlink(shimOf(target) + "/cwd")
	if gone := target.Alive(); gone != nil { // and its shim with it
		return "", nil, gone
	}
	if err != nil {
		return "", nil, fmt.Errorf("find the bundle: working directory of process %d, the parent of the container's init: %w", target.Parent(), err)
	}
	dir = filepath.Join(filepath.Dir(cwd), c.ID)
	if spec, err = readFile(filepath.Join(dir, "config.json")); err != nil {
		return "", nil, fmt.Errorf("%w: the container has no bundle in %s, where containerd keeps it: %w", ErrUnsupported, dir, err)
	}
	return dir, spec, target.Alive()
}

// shimOf is the folder in /proc of containerd's shim, whose child the container's init is.
func shimOf(target *nsenter.Process) string { return "/proc/" + strconv.Itoa(target.Parent()) }

// findRuntime is the program that the shim was told to use, or else the runc in
// its PATH, as the shim itself finds it.
func findRuntime(dir, shim string) (string, error) {
	name, err := binaryName(dir)
	if err != nil {
		return "", err
	}
	if filepath.IsAbs(name) {
		return name, nil
	}
	environ, err := readFile(shim + "/environ")
	if err != nil {
		return "", fmt.Errorf("find %s: %w", name, err)
	}
	for v := range strings.SplitSeq(string(environ), "\x00") {
		path, ok := strings.CutPrefix(v, "PATH=")
		if !ok {
			continue
		}
		for _, d := range filepath.SplitList(path) {
			full := filepath.Join(d, name)
			if s, err := os.Stat(full); err == nil && s.Mode().IsRegular() && s.Mode()&0o111 != 0 && filepath.IsAbs(full) {
				return full, nil
			}
		}
	}
	return "", fmt.Errorf("%w: the OCI runtime %s is not in the PATH of the container's shim", ErrUnsupported, name)
}

// binaryName reads what the shim of containerd 1.6 and later keeps in the bundle:
// the name alone in the one file, its options in the other.
func binaryName(dir string) (string, error) {
	b, err := readFile(filepath.Join(dir, "runtime"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("find the OCI runtime: %w", err)
	}
	if name := strings.TrimSpace(string(b)); name != "" {
		return name, nil
	}
	var options struct {
		BinaryName string `json:"binary_name"`
	}
	if b, err := readFile(filepath.Join(dir, "options.json")); err == nil {
		if err := json.Unmarshal(b, &options); err != nil {
			return "", fmt.Errorf("find the OCI runtime: options.json: %w", err)
		}
	}
	if options.BinaryName == "" {
		return "runc", nil
	}
	return options.BinaryName, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("%s has more than %d bytes", path, maxFile)
	}
	return b, err
}

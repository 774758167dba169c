package facts

import (
	"strconv"

	"github.com/podreload/podreload/shim"
)

// The container's files that are looked up in, and how large each may be.
const (
	hostsPath, maxHosts   = "/etc/hosts", 1 << 20
	resolvPath, maxResolv = "/etc/resolv.conf", 64 << 10
	passwdPath, maxPasswd = "/etc/passwd", 1 << 20
	groupPath, maxGroup   = "/etc/group", 1 << 20
)

// FileExists says whether a path is there inside, following links. As in confd, every error but
// that there is no such file counts as there. A relative path starts at the root.
func (f *Facts) FileExists(path string) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return ask(f, "look for the file "+strconv.Quote(path), func() (bool, error) {
		if len(path) >= shim.MaxPath {
			return true, nil // ENAMETOOLONG: path_resolution(7)
		}
		got, err := f.cross(shim.Request{Op: shim.Exists, Files: []shim.File{{Path: path}}})
		return got.Existed, err
	})
}

// file reads a file once in a pass. That there is none is no error.
func (f *Facts) file(path string, limit uint32) ([]byte, error) {
	return ask(f, "read "+path, func() ([]byte, error) {
		got, err := f.cross(shim.Request{Op: shim.Fetch, Limit: limit, Files: []shim.File{{Path: path}}})
		return got.Data, err
	})
}

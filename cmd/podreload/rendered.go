package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/urfave/cli/v3"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/agent"
)

// renderedFile is a file as render lists it: all but its content.
type renderedFile struct {
	Target    string `json:"target,omitempty"` // namespace/pod/container
	Profile   string `json:"profile"`
	Path      string `json:"path"`
	Mode      string `json:"mode,omitempty"` // octal; unset, as owner and group: the existing file's, else 0644 and the container's user
	Owner     string `json:"owner,omitempty"`
	Group     string `json:"group,omitempty"`
	Size      int    `json:"size"`
	Digest    string `json:"digest"` // sha256
	Sensitive bool   `json:"sensitive,omitempty"`
}

func listOf(job agent.Job, files []daemonset.File) (out []renderedFile) {
	for _, f := range files {
		sum := sha256.Sum256(f.Data)
		r := renderedFile{
			Profile: job.Target.Profile, Path: f.Path, Owner: account(f.UID, f.Owner), Group: account(f.GID, f.Group),
			Size: len(f.Data), Digest: hex.EncodeToString(sum[:]), Sensitive: f.Sensitive,
		}
		if job.Target.Container.ID != "" { // else none stands behind it
			r.Target = job.Target.Container.String()
		}
		if f.Mode != nil {
			r.Mode = fmt.Sprintf("%04o", f.Mode.Perm())
		}
		out = append(out, r)
	}
	return out
}

// account is a number, or a name.
func account(id *uint32, name string) string {
	if id != nil {
		return strconv.FormatUint(uint64(*id), 10)
	}
	return name
}

func renderTable(files []renderedFile) table {
	t := table{header: []string{"PATH", "MODE", "OWNER", "GROUP", "SIZE", "DIGEST", "PROFILE", "TARGET"}}
	for _, f := range files {
		t.rows = append(t.rows, []string{f.Path, f.Mode, f.Owner, f.Group, strconv.Itoa(f.Size), f.Digest, f.Profile, f.Target})
	}
	return t
}

// outRoot opens the directory that files are written below; nil without one.
func outRoot(dir string) (*os.Root, error) {
	if dir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("--out: %w", err)
	}
	if len(entries) > 0 {
		return nil, usagef("--out %s is not empty; nothing was written", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("--out: %w", err)
	}
	return os.OpenRoot(dir)
}

// belowOut is the folder of a job's files: of many targets each has its own.
func belowOut(c *cli.Command, job agent.Job) []string {
	if !c.Bool("all") {
		return nil
	}
	t := job.Target.Container
	return []string{t.Pod.Namespace, t.Pod.Name, t.Name}
}

// writeFiles writes files by their paths below a folder of root. No path and no
// name of a pod leads out of that folder.
func writeFiles(root *os.Root, folders []string, files []daemonset.File) error {
	below := "."
	for _, name := range folders {
		if name == "" || name != filepath.Base(name) || !filepath.IsLocal(name) || name == "." {
			return fmt.Errorf("--out: %q of a pod cannot be the name of a folder", name)
		}
		below = filepath.Join(below, name)
	}
	for _, f := range files {
		path := filepath.Join(below, filepath.Join("/", f.Path)) // rooted first: ".." ends there
		if err := root.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("--out: %w", err)
		}
		mode := fs.FileMode(0o644)
		if f.Mode != nil {
			mode = f.Mode.Perm()
		}
		if f.Sensitive {
			mode = 0o600
		}
		if err := root.WriteFile(path, f.Data, mode); err != nil {
			return fmt.Errorf("--out: %w", err)
		}
	}
	return nil
}

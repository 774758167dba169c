package state

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"

	"github.com/podreload/podreload/daemonset"
)

// maxContent bounds one file, in bytes: what a crossing can carry.
const maxContent = 64 << 20

// Saved is a file whose contents lie in the store.
type Saved struct {
	Resource  string       `json:"resource,omitempty"`
	Path      string       `json:"path"`
	Absent    bool         `json:"absent,omitempty"`
	Content   string       `json:"content,omitempty"` // SHA-256 in hex; empty where Absent
	Mode      *fs.FileMode `json:"mode,omitempty"`
	UID       *uint32      `json:"uid,omitempty"`
	GID       *uint32      `json:"gid,omitempty"`
	Mkdir     bool         `json:"mkdir,omitempty"`
	Sensitive bool         `json:"sensitive,omitempty"`
	Remove    bool         `json:"remove,omitempty"`
}

// Keep stores the contents of files for a container whose lock the caller holds.
// They stay until a [Store.Tidy] that does not name them.
func (s *Store) Keep(id string, files []daemonset.File) ([]Saved, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	if err := s.root.Mkdir("files/"+id, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("state: %w", err)
	}
	saved := make([]Saved, 0, len(files))
	for _, f := range files {
		v := Saved{Resource: f.Resource, Path: f.Path, Absent: f.Absent, Mode: f.Mode, UID: f.UID, GID: f.GID, Mkdir: f.Mkdir, Sensitive: f.Sensitive, Remove: f.Remove}
		if !f.Absent {
			sum := sha256.Sum256(f.Data)
			v.Content = hex.EncodeToString(sum[:])
			if err := s.keep(id, v.Content, f.Data); err != nil {
				return nil, fmt.Errorf("state: keep the contents of %s below %s: %w", f.Path, s.dir, err)
			}
		}
		saved = append(saved, v)
	}
	return saved, nil
}

// keep links the contents to where they lie already, or writes them. The number
// of links tells how many targets use them, so nobody has to count.
func (s *Store) keep(id, sum string, data []byte) error {
	shared, mine := "contents/"+sum, "files/"+id+"/"+sum
	err := s.root.Link(shared, mine)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.EMLINK) {
		return err
	}
	// Under its own name only when it is whole. Not synced, as records are not.
	staged := "files/" + id + "/.staged"
	if err := s.root.WriteFile(staged, data, 0o600); err != nil {
		return errors.Join(err, s.root.Remove(staged))
	}
	if err := s.root.Rename(staged, mine); err != nil {
		return err
	}
	if err := s.root.Link(mine, shared); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// Recall brings the files back with their contents. The error wraps [ErrDamaged]
// where those are not what was kept.
func (s *Store) Recall(id string, saved []Saved) ([]daemonset.File, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	return recall(saved, func(f Saved) ([]byte, error) { return s.content(id, f.Content) })
}

func recall(saved []Saved, content func(Saved) ([]byte, error)) ([]daemonset.File, error) {
	files := make([]daemonset.File, 0, len(saved))
	for _, v := range saved {
		f := daemonset.File{Resource: v.Resource, Path: v.Path, Absent: v.Absent, Mode: v.Mode, UID: v.UID, GID: v.GID, Mkdir: v.Mkdir, Sensitive: v.Sensitive, Remove: v.Remove}
		if !v.Absent {
			data, err := content(v)
			if err != nil {
				return nil, fmt.Errorf("the kept contents of %s: %w", v.Path, err)
			}
			f.Data = data
		}
		files = append(files, f)
	}
	return files, nil
}

func (s *Store) content(id, sum string) ([]byte, error) {
	data, err := s.folder.content("files/"+id+"/"+sum, sum)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return data, err
}

// content reads a file whose contents have the digest.
func (f folder) content(name, sum string) ([]byte, error) {
	if raw, err := hex.DecodeString(sum); err != nil || len(raw) != sha256.Size {
		return nil, fmt.Errorf("%w: %q is no digest", ErrDamaged, sum)
	}
	file, err := f.root.Open(name)
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxContent+1))
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	if is := sha256.Sum256(data); hex.EncodeToString(is[:]) != sum {
		return nil, fmt.Errorf("%w: %s/%s", ErrDamaged, f.dir, name)
	}
	return data, nil
}

// Tidy drops what the record does not refer to. The caller holds the
// container's lock and has saved the record. What cannot be dropped stays until
// the next time: it does no harm but to take room.
func (s *Store) Tidy(record Record) {
	if checkID(record.ContainerID) != nil {
		return
	}
	used := slices.Clone(record.Good)
	if record.Next != nil {
		used = append(used, record.Next.Files...)
	}
	s.tidy(record.ContainerID, used)
}

func (s *Store) tidy(id string, used []Saved) {
	dir, err := s.root.Open("files/" + id)
	if err != nil {
		return
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return
	}
	for _, name := range names {
		if slices.ContainsFunc(used, func(v Saved) bool { return v.Content == name }) {
			continue
		}
		_ = s.root.Remove("files/" + id + "/" + name)
		// The last one shuts the door. Somebody who links it at this moment has
		// a link of his own, and writes it anew where he comes too late.
		shared := "contents/" + name
		if info, err := s.root.Stat(shared); err == nil && links(info) == 1 {
			_ = s.root.Remove(shared)
		}
	}
}

func links(info os.FileInfo) uint64 { return uint64(info.Sys().(*syscall.Stat_t).Nlink) }

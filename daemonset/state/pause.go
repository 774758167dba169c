package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"
)

const pausesVersion = 1

// pausesWait is how long another process may take to change them.
const pausesWait = 10 * time.Second

// maxPauses bounds how many are kept.
const maxPauses = 1000

// Pause is a person's word that nothing is to be changed. It holds over restarts of the agent and
// of the node, until it is taken back.
type Pause struct {
	// What is paused: one target, as its container is named (namespace/pod/container), or all
	// of a profile, or, with neither, all of the node.
	Target  string `json:"target,omitempty"`
	Profile string `json:"profile,omitempty"`

	By    string    `json:"by"`
	Since time.Time `json:"since"`

	// Pin is the digest of the files of the target's history that it is to have meanwhile.
	Pin      string `json:"pin,omitempty"`
	Revision int64  `json:"revision,omitempty"` // that they are of
}

// Covers answers whether the pause is of a target.
func (p Pause) Covers(profile, target string) bool {
	return p.Target == target && p.Profile == "" || p.Target == "" && (p.Profile == profile || p.Profile == "")
}

func (p Pause) same(other Pause) bool { return p.Target == other.Target && p.Profile == other.Profile }

// String names what is paused.
func (p Pause) String() string {
	switch {
	case p.Target != "":
		return p.Target
	case p.Profile != "":
		return "profile " + p.Profile
	}
	return "all of this node"
}

type pauses struct {
	Version int     `json:"version"`
	Pauses  []Pause `json:"pauses"`
}

// Pauses are all that hold now, the oldest first. Where they cannot be read nobody knows, and the
// error says what to do.
func (s *Store) Pauses() ([]Pause, error) {
	text, err := s.kept.read("pauses.json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var d pauses
	if err := decodeJSON(text, pausesVersion, &d); err != nil {
		return nil, fmt.Errorf("what is paused cannot be told, and nothing changes until %s/pauses.json is mended or removed: %w", s.kept.dir, err)
	}
	return d.Pauses, nil
}

// Paused is the pause that holds for a target, the widest of several; ok is false without one.
func (s *Store) Paused(profile, target string) (p Pause, ok bool, err error) {
	all, err := s.Pauses()
	if err != nil {
		return Pause{}, false, err
	}
	for _, q := range all {
		if q.Covers(profile, target) && (!ok || p.Target != "" && q.Target == "" || p.Profile != "" && q.Profile == "" && q.Target == "") {
			p, ok = q, true
		}
	}
	return p, ok, nil
}

// Pause adds a pause, in the place of one of the same, and returns that. One that is pinned is
// paused already, and stays as it is unless it is pinned to something else. It is on the disk when
// Pause returns.
func (s *Store) Pause(ctx context.Context, p Pause) (before *Pause, err error) {
	err = s.changePauses(ctx, func(all []Pause) ([]Pause, error) {
		if i := slices.IndexFunc(all, p.same); i >= 0 {
			old := all[i]
			before = &old
			if old.Pin != "" && p.Pin == "" {
				return all, nil
			}
			all = slices.Delete(all, i, i+1)
		}
		if len(all) >= maxPauses {
			return nil, fmt.Errorf("%d things are paused already: resume some, or pause a profile or the node", len(all))
		}
		return append(all, p), nil
	})
	return before, err
}

// Resume takes a pause back, and answers whether there was one. That of the node is not
// taken back with one of a profile, nor the other way round.
func (s *Store) Resume(ctx context.Context, p Pause) (was bool, err error) {
	err = s.changePauses(ctx, func(all []Pause) ([]Pause, error) {
		was = slices.ContainsFunc(all, p.same)
		return slices.DeleteFunc(all, p.same), nil
	})
	return was, err
}

// Unpin takes a pin back that came to nothing: what was before it is there again. A pause that
// somebody has put in its place meanwhile stays.
func (s *Store) Unpin(ctx context.Context, pin Pause, before *Pause) error {
	return s.changePauses(ctx, func(all []Pause) ([]Pause, error) {
		i := slices.IndexFunc(all, func(p Pause) bool { return p.same(pin) && p.Pin == pin.Pin && p.Since.Equal(pin.Since) })
		if i < 0 {
			return all, nil
		}
		all = slices.Delete(all, i, i+1)
		if before != nil {
			all = append(all, *before)
		}
		return all, nil
	})
}

func (s *Store) changePauses(ctx context.Context, change func([]Pause) ([]Pause, error)) error {
	ctx, cancel := context.WithTimeout(ctx, pausesWait)
	defer cancel()
	lock, err := await(ctx, func() (*os.File, error) { return s.kept.lockFile("pauses.lock") })
	if err != nil {
		return fmt.Errorf("state: change what is paused: %w", err)
	}
	defer release(lock)
	all, err := s.Pauses()
	if err != nil {
		return err
	}
	if all, err = change(all); err != nil {
		return err
	}
	text, err := encodeJSON(pauses{Version: pausesVersion, Pauses: all})
	if err == nil {
		err = s.kept.writeText(".pauses.json", "pauses.json", text)
	}
	if err != nil {
		return fmt.Errorf("state: keep what is paused below %s: %w", s.kept.dir, err)
	}
	return nil
}

package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/podreload/podreload/daemonset"
)

// maxStatus bounds a record, in bytes.
const maxStatus = 1 << 20

// Record is everything kept of one target: how it stands, and what another
// process needs to finish or undo an apply that was cut off.
type Record struct {
	daemonset.Status

	// Good are the files that the server was last proved to run with or, before
	// the first apply, what was there: the way back.
	Good []Saved `json:"good,omitempty"`

	// GoodDigest is what these files are called by: their attributes may since have been
	// read from inside. Empty where they are not what one apply has put in place.
	GoodDigest string `json:"goodDigest,omitempty"`

	// Next is the apply that is under way: saved before the first file changes,
	// nil once it is proved or undone.
	Next *Change `json:"next,omitempty"`

	// Rejected names files with which a reload did not take, and the way in which it was told and
	// looked for. They are not tried again in this container, or not before Again.
	Rejected string    `json:"rejected,omitempty"`
	Why      string    `json:"why,omitempty"`  // what the server did with them
	Late     int       `json:"late,omitempty"` // how often in a row they did not take
	Again    time.Time `json:"again,omitzero"` // the server said nothing in time; zero: it said no

	// NotTaken are the digests of files that were to stand in for what was wanted, and did
	// not take either.
	NotTaken []string `json:"notTaken,omitempty"`

	// Unsure is how often in a row a reload could not be told from another.
	Unsure int `json:"unsure,omitempty"`

	// Filled are the keys of the profile below which there were others when it was
	// last applied.
	Filled []string `json:"filled,omitempty"`

	// Leave is what of the profile is needed to take its files away when it has gone. Nil
	// where none is to go with it.
	Leave *Leave `json:"leave,omitempty"`

	// Answers are what name servers said last to the templates, by question.
	Answers map[string]json.RawMessage `json:"answers,omitempty"`

	// Told is when the server was last told to reload.
	Told time.Time `json:"told,omitzero"`
}

// Leave is how a server is found, tried, told to reload and proved, as the profile had it.
type Leave struct {
	Process  string             `json:"process,omitempty"`
	Matcher  *daemonset.Matcher `json:"matcher,omitempty"`
	Check    string             `json:"check"`
	Signal   string             `json:"signal,omitempty"`   // instead of the preset's
	Signals  []string           `json:"signals,omitempty"`  // what the pod may choose instead
	Commands []string           `json:"commands,omitempty"` // instead of a signal
}

// Change is a set of files at one revision.
type Change struct {
	Revision int64   `json:"revision"`
	Files    []Saved `json:"files"`
	Digest   string  `json:"digest,omitempty"` // empty in records of before it was kept
}

// Load reads the record of a container; ErrNotFound if there is none, and
// ErrDamaged or ErrNewer if it makes no sense.
func (s *Store) Load(id string) (Record, error) {
	if err := checkID(id); err != nil {
		return Record{}, err
	}
	name := "targets/" + id + ".json"
	text, err := s.read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, fmt.Errorf("container %s: %w", daemonset.ShortID(id), ErrNotFound)
	}
	if err != nil {
		return Record{}, err
	}
	record, err := decode(text)
	if err == nil && record.ContainerID != id {
		err = fmt.Errorf("it is of container %q: %w", record.ContainerID, ErrDamaged)
	}
	if err != nil {
		return Record{}, fmt.Errorf("%s/%s: %w", s.dir, name, err)
	}
	return record, nil
}

// Save replaces the record of a container, whole or not at all. The caller
// holds the container's lock.
func (s *Store) Save(record Record) error {
	if err := checkID(record.ContainerID); err != nil {
		return err
	}
	text, err := encode(record)
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	name := "targets/" + record.ContainerID + ".json"
	staged := "targets/." + record.ContainerID // the lock's holder is its only writer
	if err := s.replace(staged, name, text); err != nil {
		return fmt.Errorf("state: write below %s: %w", s.dir, err)
	}
	return nil
}

// List reads all records. One that makes no sense does not hide the others: it
// is in the error, the others in the result.
func (s *Store) List() ([]Record, error) {
	ids, err := s.names("targets", ".json")
	if err != nil {
		return nil, err
	}
	var out []Record
	var errs []error
	for _, id := range ids {
		switch record, err := s.Load(id); {
		case err == nil:
			out = append(out, record)
		case !errors.Is(err, ErrNotFound): // removed meanwhile
			errs = append(errs, err)
		}
	}
	return out, errors.Join(errs...)
}

// IDs are the containers of which there is anything here: a record, or the lock of an apply that was
// cut off before it had one.
func (s *Store) IDs() ([]string, error) {
	found := map[string]bool{}
	for dir, end := range map[string]string{"targets": ".json", "locks": ""} {
		ids, err := s.names(dir, end)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			if checkID(id) == nil {
				found[id] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// names are what a folder's files are called, without their end. Those with a dot before are being written.
func (s *Store) names(dir, end string) (out []string, err error) {
	f, err := s.root.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	for _, name := range names {
		if id, ok := strings.CutSuffix(name, end); ok && !strings.HasPrefix(name, ".") {
			out = append(out, id)
		}
	}
	return out, nil
}

// Remove drops the record and the lock of a container that has gone. It does not
// wait: where somebody holds the lock, the caller included, it says ErrLocked
// and leaves both for the next Remove.
func (s *Store) Remove(id string) error {
	lock, err := s.tryLock(id)
	if err != nil {
		return err
	}
	defer release(lock)
	s.tidy(id, nil)
	// The lock last: by it the rest is found where this is cut off.
	for _, name := range []string{"targets/" + id + ".json", "targets/." + id, "files/" + id, "locks/" + id} {
		if err := s.root.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("state: %w", err)
		}
	}
	return nil
}

package state

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// maxFilled bounds how many keys are kept for containers that have gone; the oldest go first.
const maxFilled = 1000

// Filled are the keys that containers which have gone found others below: their records go with
// them, and what starts in their place must not take an emptied prefix for one that
// never had a key.
func (s *Store) Filled() []string {
	f, err := s.root.Open("filled.json")
	if err != nil {
		return nil // none have gone
	}
	defer f.Close()
	var keys []string
	text, err := io.ReadAll(io.LimitReader(f, maxStatus))
	if err != nil || json.Unmarshal(text, &keys) != nil {
		return nil // it helps, and nothing depends on it
	}
	return keys
}

// keepFilled adds keys to those of Filled. One caller at a time: who sweeps.
func (s *Store) keepFilled(keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	kept := slices.DeleteFunc(s.Filled(), func(k string) bool { return slices.Contains(keys, k) })
	kept = append(kept, keys...)
	kept = kept[max(0, len(kept)-maxFilled):]
	text, err := json.Marshal(kept)
	if err == nil {
		err = s.replace(".filled.json", "filled.json", text)
	}
	if err != nil {
		return fmt.Errorf("state: keep which keys were filled below %s: %w", s.dir, err)
	}
	return nil
}

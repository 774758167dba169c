package state

import "fmt"

const maxID = 128

// checkID admits an id as the name of a file. containerd's own rule for ids is
// narrower; this one only keeps a name inside its directory.
func checkID(id string) error {
	if id == "" || len(id) > maxID || id[0] == '.' {
		return fmt.Errorf("container id %q: want 1 to %d characters, the first not a dot", id, maxID)
	}
	for _, c := range []byte(id) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '.', c == '-':
		default:
			return fmt.Errorf("container id %q: %q is not one of A-Z a-z 0-9 _ . -", id, c)
		}
	}
	return nil
}

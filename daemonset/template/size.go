package template

import "fmt"

// Bounds of what one call of a function returns.
const (
	maxString = 16 << 20 // bytes
	maxList   = 1 << 20  // elements
	maxLevels = 1000     // of maps and lists in each other
)

// bounded fails for a string that is too long to be worked with further.
func bounded(s string) (string, error) {
	return s, checkSize(len(s))
}

func checkSize(n int) error {
	if n > maxString {
		return fmt.Errorf("a value of more than %d bytes", maxString)
	}
	return nil
}

// size is about how long values print, at least what they take in memory. It stops counting when that is too
// much, since a map can hold itself many times over. Printing recurses and
// cannot be stopped, so this has to be known before.
func size(values ...any) (n int, err error) {
	err = addSize(&n, maxLevels, values...)
	return n, err
}

func addSize(n *int, levels int, values ...any) error {
	if levels == 0 {
		return fmt.Errorf("a value nested more than %d deep", maxLevels)
	}
	for _, v := range values {
		*n += 16 // about what any value takes
		var err error
		switch v := v.(type) {
		case string:
			*n += len(v)
		case []string:
			for _, s := range v {
				*n += len(s) + 1
			}
		case KVPairs:
			err = addPairs(n, v)
		case []KVPair:
			err = addPairs(n, v)
		case []any:
			err = addSize(n, levels-1, v...)
		case map[string]any:
			for key, value := range v {
				*n += len(key) + 1
				if err := addSize(n, levels-1, value); err != nil {
					return err
				}
			}
		}
		if err != nil {
			return err
		}
		if err := checkSize(*n); err != nil {
			return err
		}
	}
	return nil
}

func addPairs(n *int, pairs []KVPair) error {
	for _, p := range pairs {
		*n += len(p.Key) + len(p.Value) + 4
	}
	return checkSize(*n)
}

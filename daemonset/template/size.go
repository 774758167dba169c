package template

import (
	"fmt"
	"net"
)

// Bounds of what one call of a function returns.
const (
	maxString = 16 << 20 // bytes
	maxList   = 1 << 20  // elements
	maxLevels = 1000     // of maps and lists in each other
)

var (
	errTooMuch   = fmt.Errorf("a value of more than %d bytes", maxString)
	errTooNested = fmt.Errorf("a value nested more than %d deep", maxLevels)
)

// bounded fails for a string that is too long to be worked with further.
func bounded(s string) (string, error) {
	return s, checkSize(len(s))
}

func checkSize(n int) error {
	if n > maxString {
		return errTooMuch
	}
	return nil
}

// size is about how long values print, at least what they take in memory. It
// stops counting when that is too much, since a map can hold itself many times
// over. Printing recurses and cannot be stopped, so this has to be known before.
func size(values ...any) (int, error) {
	s := sizer{}
	err := s.add(1, values...)
	return s.bytes, err
}

// measure is the size of one value and how deep it is nested: 0 for what holds
// nothing.
func measure(value any) (bytes, depth int, err error) {
	s := sizer{}
	err = s.add(1, value)
	return s.bytes, s.depth - 1, err
}

type sizer struct {
	bytes, depth int
	leaves       int // values that hold no others
}

func (s *sizer) add(depth int, values ...any) error {
	if depth > maxLevels {
		return errTooNested
	}
	s.depth = max(s.depth, depth)
	for _, v := range values {
		s.bytes += 16 // about what any value takes
		s.leaves++
		var err error
		switch v := v.(type) {
		case string:
			s.bytes += len(v)
		case []string:
			s.leaves += len(v)
			for _, text := range v {
				s.bytes += len(text) + 1
			}
		case []int:
			s.leaves += len(v)
			s.bytes += 8 * len(v)
		case KVPair:
			s.pairs([]KVPair{v})
		case KVPairs:
			s.pairs(v)
		case []KVPair:
			s.pairs(v)
		case []*net.SRV:
			s.leaves += 4 * len(v)
			for _, srv := range v {
				s.bytes += len(srv.Target) + 24
			}
		case *net.SRV:
			s.leaves += 4
			s.bytes += len(v.Target) + 24
		case []any:
			err = s.add(depth+1, v...)
		case map[string]any:
			for key, value := range v {
				s.bytes += len(key) + 1
				s.leaves++
				if err := s.add(depth+1, value); err != nil {
					return err
				}
			}
		}
		if err != nil {
			return err
		}
		if err := checkSize(s.bytes); err != nil {
			return err
		}
	}
	return nil
}

func (s *sizer) pairs(pairs []KVPair) {
	s.leaves += 2 * len(pairs)
	for _, p := range pairs {
		s.bytes += len(p.Key) + len(p.Value) + 4
	}
}

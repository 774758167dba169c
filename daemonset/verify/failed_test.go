package verify

import (
	"strings"
	"testing"
)

func TestParseFailed(t *testing.T) {
	const (
		old    = "|type=w;fd=3;pid=8;reloads=2;failedreloads=1;timestamp=1;id=;version=2.6.12"
		master = "|type=m;fd=-1;pid=1;reloads=2;failedreloads=N;timestamp=1;id=;version=(null)"
	)
	for list, want := range map[string]bool{
		"": false, old: false, "|type=m": false,
		strings.Replace(master, "N", "0", 1) + old: false,
		old + strings.Replace(master, "N", "0", 1): false,
		old + strings.Replace(master, "N", "1", 1): true,
		strings.Replace(master, "N", "12", 1):      true,
	} {
		if got := parseFailed(list); got != want {
			t.Errorf("%q: %v, want %v", list, got, want)
		}
	}
}

func FuzzParseFailed(f *testing.F) {
	f.Add("|type=m;failedreloads=1|type=w;failedreloads=0")
	f.Fuzz(func(t *testing.T, list string) {
		if parseFailed(list) && !(strings.Contains(list, "type=m") && strings.Contains(list, "failedreloads=")) {
			t.Fatalf("%q", list)
		}
	})
}

package testenv

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"
)

func TestNoParts(t *testing.T) {
	t.Setenv("PODRELOAD_PARTS", t.TempDir())
	_, err := StartNode(t.Context(), NodeConfig{})
	if !errors.Is(err, ErrNoParts) {
		t.Errorf("StartNode without parts: %v, want %v", err, ErrNoParts)
	}
}

func TestUnknownVersion(t *testing.T) {
	Needs(t)
	if n, err := StartNode(t.Context(), NodeConfig{Version: "v9"}); err == nil {
		t.Error("a node of an unknown version starts")
		n.Close()
	}
}

// TestLock has two nodes in one folder: the second would sweep the first away.
func TestLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "node")
	_, f, err := claim(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, f, err := claim(dir); err == nil {
		f.Close()
		t.Error("a folder that has an owner can be claimed")
	}
}

func TestImageIsReproducible(t *testing.T) {
	Needs(t)
	p, err := findParts()
	if err != nil {
		t.Fatal(err)
	}
	a, err := images(p)
	if err != nil {
		t.Fatal(err)
	}
	b, err := images(p)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Error("the same parts make two different images")
	}
}

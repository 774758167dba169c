package shim

import (
	"bytes"
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func ptr(n uint32) *uint32 { return &n }

var requests = map[string]Request{
	"signal only": {Op: Apply, Signal: 1, Always: true},
	"compare":     {Op: Compare, Files: []File{{Path: "/a"}}},
	"exists":      {Op: Exists, Files: []File{{Path: "/a"}, {Path: "b"}}},
	"fetch":       {Op: Fetch, Limit: 1 << 20, Files: []File{{Path: "/etc/hosts"}}},
	"all fields": {
		Op: Apply, UID: 101, GID: 102, Signal: 64, Limit: 1,
		UIDMap: []IDMap{{0, 1 << 20, 1000}, {1000, 1 << 24, 64536}}, GIDMap: []IDMap{{0, 1 << 21, 65536}},
		Files: []File{
			{Path: "/etc/nginx/nginx.conf", Data: []byte("http {}\n"), Mode: ptr(0o640), UID: ptr(0), GID: ptr(4294967294), Mkdir: true},
			{Path: "/etc/empty", Data: []byte{}, GID: ptr(7)},
			{Path: "/etc/gone", Absent: true},
		},
	},
}

var results = map[string]Result{
	"nothing": {},
	"done":    {Signalled: true, Committed: true, Files: []FileResult{{Path: "/a", Changed: true, Existed: true}, {Path: "/b"}}},
	"read":    {Files: []FileResult{{Path: "/a", Existed: true, Data: []byte("x"), Before: &Attributes{0o600, 1, 2}}}},
	"both": {Files: []FileResult{
		{Path: "/a", Changed: true, Existed: true, Before: &Attributes{0o4755, 1, 2}, After: &Attributes{0o644, 4294967294, 3}},
		{Path: "/b", Changed: true, After: &Attributes{}},
	}},
	"failed": {Committed: true, Error: &Error{Step: StepCommit, Path: "/a", Errno: syscall.EROFS, Message: "mount a volume"}},
}

func TestRequestRoundTrip(t *testing.T) {
	for name, want := range requests {
		t.Run(name, func(t *testing.T) {
			b, err := want.Encode()
			if err != nil {
				t.Fatal(err)
			}
			got, err := DecodeRequest(b)
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
				t.Errorf("err %v, -want +got:\n%s", err, diff)
			}
		})
	}
}

func TestResultRoundTrip(t *testing.T) {
	for name, want := range results {
		t.Run(name, func(t *testing.T) {
			b, err := want.Encode()
			if err != nil {
				t.Fatal(err)
			}
			got, err := DecodeResult(b)
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
				t.Errorf("err %v, -want +got:\n%s", err, diff)
			}
		})
	}
}

func TestEncodeLimits(t *testing.T) {
	for name, r := range map[string]Request{
		"files": {Op: Apply, Files: make([]File, MaxFiles+1)},
		"path":  {Op: Apply, Files: []File{{Path: strings.Repeat("a", MaxPath+1)}}},
		"map":   {Op: Apply, GIDMap: make([]IDMap, MaxMap+1)},
		"size":  {Op: Apply, Files: []File{{Path: "/a", Data: make([]byte, MaxSize)}}},
	} {
		if _, err := r.Encode(); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v, want ErrTooLarge", name, err)
		}
	}
}

func TestDecodeRefusesEveryPrefix(t *testing.T) {
	for name, r := range requests {
		b, _ := r.Encode()
		for n := range b {
			if got, err := DecodeRequest(b[:n]); err == nil {
				t.Errorf("%s: the first %d of %d bytes decode to %+v", name, n, len(b), got)
			}
		}
		if _, err := DecodeRequest(append(b, 0)); err == nil {
			t.Errorf("%s: a byte after its end went unseen", name)
		}
	}
}

// What decodes encodes to the same bytes again: there is one form for each value.
func FuzzDecodeRequest(f *testing.F) {
	for _, r := range requests {
		b, _ := r.Encode()
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeRequest(b)
		if err != nil {
			if diff := cmp.Diff(Request{}, r); diff != "" {
				t.Fatalf("both an error and a value: %s", diff)
			}
			return
		}
		if again, err := r.Encode(); err != nil || !bytes.Equal(b, again) {
			t.Fatalf("%x decodes to %+v, which encodes to %x, %v", b, r, again, err)
		}
	})
}

func FuzzDecodeResult(f *testing.F) {
	for _, r := range results {
		b, _ := r.Encode()
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeResult(b)
		if err != nil {
			if diff := cmp.Diff(Result{}, r); diff != "" {
				t.Fatalf("both an error and a value: %s", diff)
			}
			return
		}
		if again, err := r.Encode(); err != nil || !bytes.Equal(b, again) {
			t.Fatalf("%x decodes to %+v, which encodes to %x, %v", b, r, again, err)
		}
	})
}

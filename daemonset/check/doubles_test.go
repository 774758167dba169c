package check

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// TestDoubles: one directory that is mounted twice is one in the twin, too.
func TestDoubles(t *testing.T) {
	mount := func(dest, source string, options ...string) specs.Mount {
		return specs.Mount{Destination: dest, Type: "bind", Source: source, Options: options}
	}
	look := func(path string) (source, error) { return source{real: path, dir: path != "/v/file"}, nil }
	points := []mountPoint{
		{path: "/", kind: "ext4", device: "8:0", root: "/"},
		{path: "/sub", kind: "ext4", device: "8:0", root: "/v/sub"}, // as the kubelet mounts a subPath
		{path: "/same", kind: "ext4", device: "8:0", root: "/v"},
		{path: "/net", kind: "nfs4", device: "0:9", root: "/"},
	}
	a, b := mount("/a", "/v", "rbind", "rw"), mount("/b", "/v", "rbind", "ro")
	merged := func(m specs.Mount, n string) specs.Mount {
		m.Source = "/t/volume-" + n + "/merged"
		return m
	}
	for name, tt := range map[string]struct {
		file   string
		in     []specs.Mount
		want   []specs.Mount // nil: as with no doubles
		layers int
		err    error
	}{
		"written":              {"/a/x", []specs.Mount{a, b}, []specs.Mount{merged(a, "0"), merged(b, "0")}, 1, nil},
		"the reader first":     {"/a/x", []specs.Mount{b, a}, []specs.Mount{merged(b, "0"), merged(a, "0")}, 1, nil},
		"by another mount":     {"/a/x", []specs.Mount{a, mount("/b", "/same", "rbind")}, []specs.Mount{merged(a, "0"), merged(mount("/b", "", "rbind"), "0")}, 1, nil},
		"written elsewhere":    {"/etc/x", []specs.Mount{a, b}, nil, 1, nil},
		"read only, all":       {"/a/x", []specs.Mount{mount("/a", "/v", "ro"), b}, nil, 0, nil},
		"two others":           {"/a/x", []specs.Mount{a, mount("/b", "/w", "rbind")}, nil, 2, nil},
		"a file of it":         {"/a/x", []specs.Mount{a, mount("/b", "/v/file", "rbind", "ro")}, nil, 1, nil},
		"a folder of it":       {"/a/x", []specs.Mount{a, mount("/b", "/sub", "rbind", "ro")}, nil, 1, nil},
		"it is a folder of it": {"/b/x", []specs.Mount{b, mount("/b/c", "/v/sub", "rbind", "rw")}, nil, 1, nil},
		"on a network":         {"/a/x", []specs.Mount{mount("/a", "/net", "rbind"), mount("/b", "/net", "rbind")}, nil, 0, ErrUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			v := volumes{dir: "/t", look: look, points: points, files: []string{tt.file}}
			got, layers, err := v.twin(tt.in)
			if !errors.Is(err, tt.err) || len(layers) != tt.layers {
				t.Fatalf("%d layers, %v; want %d, %v", len(layers), err, tt.layers, tt.err)
			}
			if tt.want == nil && tt.err == nil {
				v.files = nil
				tt.want, _, _ = v.twin(tt.in)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("mounts (-want +got):\n%s", diff)
			}
		})
	}
}

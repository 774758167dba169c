package check

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestTwinMounts(t *testing.T) {
	mount := func(dest, kind, source string, options ...string) specs.Mount {
		return specs.Mount{Destination: dest, Type: kind, Source: source, Options: options}
	}
	look := func(path string) (source, error) {
		switch path {
		case "/file", "/denies/file":
			return source{real: path}, nil
		case "/link":
			return source{real: "/busy", dir: true}, nil
		case "/none":
			return source{}, errors.New("no such file")
		}
		return source{real: path, dir: true, mode: 0o750, uid: 5}, nil
	}
	overlay := func(n, lower string) []string {
		return []string{"lowerdir=" + lower, "upperdir=/t/volume-" + n + "/upper", "workdir=/t/volume-" + n + "/work", "volatile"}
	}
	mapped := func(m specs.Mount) specs.Mount {
		m.UIDMappings, m.GIDMappings = []specs.LinuxIDMapping{{HostID: 1 << 20, Size: 1 << 16}}, []specs.LinuxIDMapping{{HostID: 1 << 20, Size: 1 << 16}}
		return m
	}
	points := []mountPoint{{path: "/", kind: "ext4"}, {path: "/fuse", kind: "fuse.sshfs"}, {path: "/busy/inside", kind: "ext4"}, {path: "/denies", kind: "ext4", denies: denials}}
	for name, tt := range map[string]struct {
		in    specs.Mount
		want  specs.Mount
		err   error // nil: any, if want is empty
		users bool
	}{
		"of each container's own": {mount("/tmp", "tmpfs", "tmpfs", "size=1m"), mount("/tmp", "tmpfs", "tmpfs", "size=1m"), nil, false},
		"writable directory": {
			mount("/v", "bind", "/dir", "rbind", "rprivate", "rw", "nosuid"),
			mount("/v", "overlay", "overlay", append([]string{"rprivate", "nosuid"}, overlay("0", "/dir")...)...), nil, false,
		},
		"shared with the node": {
			mount("/v", "", "/dir", "bind", "rshared"),
			mount("/v", "overlay", "overlay", append([]string{"rprivate"}, overlay("0", "/dir")...)...), nil, false,
		},
		"hostile name": {
			mount("/v", "bind", `/a:b,c\d`, "rbind"),
			mount("/v", "overlay", "overlay", overlay("0", `/a\:b\,c\\d`)...), nil, false,
		},
		"read-only directory": {
			mount("/v", "bind", "/link", "rbind", "rslave", "ro"), mount("/v", "bind", "/link", "rbind", "rprivate", "ro"), nil, false,
		},
		"read-only below too": {mount("/v", "bind", "/link", "rbind", "rro"), mount("/v", "bind", "/link", "rbind", "rro"), nil, false},
		"the last option holds": {
			mount("/v", "bind", "/dir", "rbind", "ro", "rw"),
			mount("/v", "overlay", "overlay", overlay("0", "/dir")...), nil, false,
		},
		"file":                {mount("/etc/hosts", "bind", "/file", "rbind", "rw"), mount("/etc/hosts", "bind", "/file", "rbind", "ro"), nil, false},
		"missing":             {mount("/v", "bind", "/none", "rbind"), specs.Mount{}, nil, false},
		"a filesystem inside": {mount("/v", "bind", "/link", "rbind"), specs.Mount{}, ErrUnsupported, false},
		"the node's root":     {mount("/v", "bind", "/", "rbind"), specs.Mount{}, ErrUnsupported, false},
		"shifted ids": {
			mapped(mount("/v", "bind", "/dir", "rbind", "rw", "idmap")), mount("/v", "bind", "/t/volume-0/merged", "rbind", "rw"), nil, true,
		},
		"shifted ids that it only reads": {
			mapped(mount("/v", "bind", "/dir", "rbind", "ro", "idmap")), mapped(mount("/v", "bind", "/dir", "rbind", "ro", "idmap")), nil, true,
		},
		"ids of the node's, with a user namespace": {
			mount("/v", "bind", "/dir", "rbind"), mount("/v", "bind", "/t/volume-0/merged", "rbind"), nil, true,
		},
		"denies, as an overlay": {
			mount("/v", "bind", "/denies", "rbind"), mount("/v", "overlay", "overlay", append(overlay("0", "/denies"), denials...)...), nil, false,
		},
		"denies, below its mount point": {
			mount("/v", "bind", "/denies/x", "rbind"), mount("/v", "overlay", "overlay", append(overlay("0", "/denies/x"), denials...)...), nil, false,
		},
		"denies, but not where it is mounted": {
			mount("/allows", "bind", "/denies", "rbind"), mount("/allows", "overlay", "overlay", overlay("0", "/denies")...), nil, false,
		},
		"denies, with a user namespace": {
			mount("/v", "bind", "/denies", "rbind"), mount("/v", "bind", "/t/volume-0/merged", append([]string{"rbind"}, denials...)...), nil, true,
		},
		"denies, a file": {
			mount("/v", "bind", "/denies/file", "rbind", "rw"), mount("/v", "bind", "/denies/file", append([]string{"rbind"}, append(denials, "ro")...)...), nil, false,
		},
		"may hang, with a user namespace": {mount("/v", "bind", "/fuse", "rbind"), specs.Mount{}, ErrUnsupported, true},
		"beside, not in, a name":          {mount("/v", "bind", "/bus", "bind"), mount("/v", "overlay", "overlay", overlay("0", "/bus")...), nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, layers, err := volumes{"/t", tt.users, look, points, []mountPoint{{path: "/"}, {path: "/allows", denies: denials}, {path: "/allows"}}, nil}.twin([]specs.Mount{tt.in})
			if tt.want.Destination == "" {
				if err == nil || tt.err != nil && !errors.Is(err, tt.err) {
					t.Errorf("%+v, %v, want an error (%v)", got, err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]specs.Mount{tt.want}, got); diff != "" {
				t.Errorf("mounts (-want +got):\n%s", diff)
			}
			if overlays := got[0].Type == "overlay" || strings.HasPrefix(got[0].Source, "/t/"); overlays != (len(layers) == 1) {
				t.Errorf("layers: %+v", layers)
			}
		})
	}
}

package check

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

const targetSpec = `{
	"ociVersion": "1.0.2-dev", "unknown": {"privilege": 18446744073709551615}, "hostname": "web-0", "domainname": "d",
	"process": {
		"terminal": true, "consoleSize": {"height": 1, "width": 1}, "user": {"uid": 101, "gid": 102},
		"args": ["nginx"], "env": ["A=b", "HOSTNAME=web-0"], "noNewPrivileges": true, "oomScoreAdj": -997,
		"capabilities": {"bounding": ["CAP_KILL"]}, "selinuxLabel": "system_u:system_r:container_t:s0:c1,c2"
	},
	"root": {"path": "/somewhere", "readonly": true},
	"hooks": {"createRuntime": [{"path": "/bin/true"}]}, "annotations": {"a": "b"},
	"mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
	"linux": {
		"cgroupsPath": "/kubepods/pod1/0123", "rootfsPropagation": "rshared", "intelRdt": {"closID": "x"},
		"sysctl": {"net.core.somaxconn": "1"}, "netDevices": {"eth1": {}},
		"resources": {"memory": {"limit": 1000}, "pids": {"limit": 5000}}, "seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "new": 1},
		"namespaces": [{"type": "mount"}, {"type": "network", "path": "/proc/7/ns/net"}, {"type": "pid", "path": "/proc/7/ns/pid"},
			{"type": "ipc", "path": "/proc/7/ns/ipc"}, {"type": "uts"}, {"type": "cgroup", "path": "/proc/7/ns/cgroup"}]
	}
}`

func TestTwinSpec(t *testing.T) {
	got, err := twinSpec([]byte(targetSpec), change{
		args: []string{"nginx", "-t"}, id: "podreload-1", pid: 42,
		mounts: []specs.Mount{{Destination: "/proc", Type: "proc", Source: "proc"}}, files: &unix.Rlimit{Cur: 1024, Max: 4096},
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
	"ociVersion": "1.0.2-dev", "unknown": {"privilege": 18446744073709551615},
	"process": {
		"user": {"uid": 101, "gid": 102},
		"args": ["nginx", "-t"], "env": ["A=b", "HOSTNAME=web-0"], "noNewPrivileges": true, "oomScoreAdj": 1000,
		"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 4096}],
		"capabilities": {"bounding": ["CAP_KILL"]}, "selinuxLabel": "system_u:system_r:container_t:s0:c1,c2"
	},
	"root": {"path": "rootfs", "readonly": true},
	"mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
	"linux": {
		"cgroupsPath": "/kubepods/pod1/podreload-1", "rootfsPropagation": "rprivate",
		"resources": {"memory": {"limit": 1000}, "pids": {"limit": 512}}, "seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "new": 1},
		"namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "network", "path": "/proc/42/ns/net"},
			{"type": "ipc", "path": "/proc/42/ns/ipc"}, {"type": "uts", "path": "/proc/42/ns/uts"}, {"type": "cgroup"}]
	}
}`
	if diff := cmp.Diff(tree(t, want), tree(t, string(got))); diff != "" {
		t.Errorf("the twin's spec (-want +got):\n%s", diff)
	}
	if !strings.Contains(string(got), "18446744073709551615") {
		t.Error("a number that this version does not know is not as it was")
	}
}

// tree is JSON with its numbers as they are written.
func tree(t *testing.T, s string) (v any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTwinCgroup(t *testing.T) {
	for path, want := range map[string]string{
		"/kubepods/besteffort/pod1/0123": "/kubepods/besteffort/pod1/podreload-1",
		"/0123":                          "/podreload-1",
		"kubepods-besteffort-pod1.slice:cri-containerd:0123": "kubepods-besteffort-pod1.slice:cri-containerd:podreload-1",
		"":              "",
		"relative/path": "",
		"a:b":           "",
	} {
		got, err := twinCgroup(path, "podreload-1")
		if got != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, ErrUnsupported) {
			t.Errorf("twinCgroup(%q): %q, %v, want %q", path, got, err, want)
		}
	}
}

func TestExpandSlice(t *testing.T) {
	for slice, want := range map[string]string{
		"kubepods-besteffort-pod1_2.slice": "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1_2.slice",
		"system.slice":                     "/system.slice",
		"-.slice":                          "",
	} {
		if got := expandSlice(slice); got != want {
			t.Errorf("expandSlice(%q): %q, want %q", slice, got, want)
		}
	}
}

// A limit that the spec names is the target's.
func TestTwinSpecLimits(t *testing.T) {
	const limits = `[{"type":"RLIMIT_CORE","hard":0,"soft":0},{"type":"RLIMIT_NOFILE","hard":7,"soft":6}]`
	got, err := twinSpec([]byte(`{"process": {"rlimits": `+limits+`}, "linux": {"cgroupsPath": "/a/b"}}`), change{id: "podreload-1", files: &unix.Rlimit{Cur: 1024, Max: 4096}})
	var s struct {
		Process struct{ Rlimits json.RawMessage }
	}
	if err != nil || json.Unmarshal(got, &s) != nil || string(s.Process.Rlimits) != limits {
		t.Errorf("%s, %v; want %s", s.Process.Rlimits, err, limits)
	}
}

func FuzzTwinSpec(f *testing.F) {
	f.Add([]byte(targetSpec))
	f.Add([]byte(`{"linux": null, "process": []}`))
	f.Fuzz(func(t *testing.T, spec []byte) {
		got, err := twinSpec(spec, change{args: []string{"x"}, id: "podreload-1", pid: 1})
		if err != nil {
			return
		}
		var s struct{ Linux struct{ CgroupsPath string } }
		if err := json.Unmarshal(got, &s); err != nil || !strings.HasSuffix(s.Linux.CgroupsPath, "podreload-1") {
			t.Errorf("%s of %s: %v", got, spec, err)
		}
	})
}

package pods

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podreload/podreload/daemonset"
)

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestContainerFacts(t *testing.T) {
	box, err := decodeSandbox("5aab", fixture(t, "sandbox.json"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := decodeContainer(fixture(t, "container.json"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := decodeSpec(fixture(t, "spec.json"))
	if err != nil {
		t.Fatal(err)
	}
	got := s.container("c0de", "io.containerd.runc.v2", m, box)
	want := daemonset.Container{
		ID:   "c0de",
		Name: "nginx",
		Pod: daemonset.Pod{
			UID: "u-1", Name: "web-0", Namespace: "prod", SandboxID: "5aab",
			Labels:      map[string]string{"app": "web", "io.kubernetes.pod.name": "web-0", "podreload.io/profile": "web"},
			Annotations: map[string]string{"podreload.io/note": "any text: \"quoted\"\n"},
		},
		Runtime: "io.containerd.runc.v2",
		Image:   "sha256:1",
		Args:    []string{"nginx"},
		Env:     []string{"PATH=/bin", "A=b=c"},
		UID:     101, GID: 102,
		Hostname:     "web-0",
		ReadonlyRoot: true,
		Mounts: []daemonset.Mount{
			{Destination: "/proc", Type: "proc"},
			{Destination: "/etc/nginx/conf.d", Type: "bind", ReadOnly: true},
			{Destination: "/cache", Type: "bind"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
}

// What the CRI plugin writes into the spec for each way to share PIDs: a path
// means another's namespace, and only the CRI config tells whose.
func TestPIDNamespace(t *testing.T) {
	const own, path, none = `[{"type":"pid"}]`, `[{"type":"pid","path":"/proc/7/ns/pid"}]`, `[{"type":"mount"}]`
	tests := []struct {
		name             string
		namespaces       string
		container, box   int // NamespaceMode of the CRI API
		hostPID, sharing bool
	}{
		{"own", own, 1, 1, false, false},
		{"shareProcessNamespace", path, 0, 0, false, true},
		{"debug container in another's", path, 3, 1, false, true},
		{"hostPID", path, 2, 2, true, false},
		{"default in a hostPID sandbox", path, 0, 2, true, false},
		{"own in a hostPID sandbox", own, 1, 2, false, false},
		{"no namespace at all", none, 0, 0, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := decodeSpec([]byte(`{"linux":{"namespaces":` + tt.namespaces + `}}`))
			if err != nil {
				t.Fatal(err)
			}
			var m metadata
			m.Config.Linux.SecurityContext.NamespaceOptions.PID = tt.container
			got := s.container("id", "", m, podSandbox{hostPID: tt.box == nodeNamespace})
			if got.HostPID != tt.hostPID || got.SharedPID != tt.sharing {
				t.Errorf("HostPID %t, SharedPID %t; want %t, %t", got.HostPID, got.SharedPID, tt.hostPID, tt.sharing)
			}
		})
	}
}

func TestUserNamespace(t *testing.T) {
	const maps = `"uidMappings":[{"containerID":0,"hostID":65536,"size":1000},{"containerID":1000,"hostID":0,"size":1}],
		"gidMappings":[{"containerID":0,"hostID":131072,"size":65536}]`
	for _, tt := range []struct {
		about, data string
		want        daemonset.Container
	}{
		{"its own", `{"linux":{"namespaces":[{"type":"user","path":"/proc/7/ns/user"}],` + maps + `}}`, daemonset.Container{
			UserNS: true,
			UIDMap: []daemonset.IDMap{{Inside: 0, Outside: 65536, Size: 1000}, {Inside: 1000, Outside: 0, Size: 1}},
			GIDMap: []daemonset.IDMap{{Inside: 0, Outside: 131072, Size: 65536}},
		}},
		{"the node's", `{"linux":{"namespaces":[{"type":"pid"}],` + maps + `}}`, daemonset.Container{}},
	} {
		s, err := decodeSpec([]byte(tt.data))
		if err != nil {
			t.Fatal(err)
		}
		c := s.container("id", "", metadata{}, podSandbox{})
		got := daemonset.Container{UserNS: c.UserNS, UIDMap: c.UIDMap, GIDMap: c.GIDMap}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.about, diff)
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	box := func(data string) error { _, err := decodeSandbox("5aab", []byte(data)); return err }
	container := func(data string) error { _, err := decodeContainer([]byte(data)); return err }
	ociSpec := func(data string) error { _, err := decodeSpec([]byte(data)); return err }
	tests := []struct {
		name   string
		decode func(string) error
		data   string
		want   string
	}{
		{"no sandbox metadata", box, "", "sandbox 5aab: metadata"},
		{"not JSON", box, "{", "sandbox 5aab: metadata"},
		{"newer", box, `{"Version":"v2","Metadata":{}}`, `version "v2"`},
		{"no pod", box, `{"Version":"v1","Metadata":{"Config":null}}`, "names no pod"},
		{"oversized", box, strings.Repeat(" ", maxMetadata+1), "bytes"},
		{"no sandbox", container, `{"Version":"v1","Metadata":{"Config":{"metadata":{"name":"x"}}}}`, "names no sandbox"},
		{"no name", container, `{"Version":"v1","Metadata":{"SandboxID":"s"}}`, "no name"},
		{"wrong type", container, `{"Version":"v1","Metadata":{"SandboxID":7}}`, "metadata"},
		{"empty spec", ociSpec, "", "OCI spec"},
		{"negative uid", ociSpec, `{"process":{"user":{"uid":-1}}}`, "OCI spec"},
		{"oversized spec", ociSpec, strings.Repeat(" ", maxSpec+1), "bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.decode(tt.data); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func FuzzMetadata(f *testing.F) {
	f.Add(fixture(f, "sandbox.json"))
	f.Add(fixture(f, "container.json"))
	f.Add([]byte(`{"Version":"v1","Metadata":{"Config":{"linux":null}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if box, err := decodeSandbox("id", data); err == nil && (box.pod.Name == "" || box.pod.Namespace == "") {
			t.Errorf("a pod without a name: %+v", box)
		}
		if m, err := decodeContainer(data); err == nil && (m.SandboxID == "" || m.Config.Metadata.Name == "") {
			t.Errorf("a container without a name or sandbox: %+v", m)
		}
	})
}

func FuzzSpec(f *testing.F) {
	f.Add(fixture(f, "spec.json"))
	f.Add([]byte(`{"linux":null,"process":null,"mounts":[null]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := decodeSpec(data)
		if err == nil && !json.Valid(data) {
			t.Error("no JSON, and no error")
		}
		if c := s.container("id", "", metadata{}, podSandbox{}); c.HostPID && c.SharedPID {
			t.Error("both the node's and the pod's PID namespace")
		}
	})
}

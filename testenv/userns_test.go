package testenv

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestUserNS looks at a pod with hostUsers: false from both sides: root inside is nobody on the
// node, and its image and its volumes are its own all the same.
func TestUserNS(t *testing.T) {
	n := NewNode(t, V2)
	volume := t.TempDir()
	if err := os.Chmod(volume, 0o777); err != nil { // as the kubelet makes an emptyDir
		t.Fatal(err)
	}
	p, err := n.RunPod(t.Context(), PodConfig{Name: "userns", UserNS: true, Containers: []ContainerConfig{{
		Name: "main", Command: forever, Mounts: []Mount{{HostPath: volume, ContainerPath: "/volume"}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ cmd, want string }{
		{"id -u", "0"},
		{"tr -s ' ' < /proc/self/uid_map", " 0 1048576 65536"},
		{"tr -s ' ' < /proc/self/gid_map", " 0 1048576 65536"},
		{"stat -c '%u %g' /etc/nginx/nginx.conf", "0 0"},
		{"touch /etc/x /volume/x && chown 101:102 /volume/x && stat -c '%u %g' /etc/x /volume/x", "0 0\n101 102"},
	} {
		got, err := p.Container("main").Exec(t.Context(), "sh", "-c", tt.cmd)
		if got = strings.TrimSuffix(got, "\n"); err != nil || got != tt.want {
			t.Errorf("%s: %q, %v; want %q", tt.cmd, got, err, tt.want)
		}
	}
	// The mount of the volume maps the ids back: what is on the disk outlives the range.
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(volume, "x"), &st); err != nil || st.Uid != 101 || st.Gid != 102 {
		t.Errorf("the file in the volume belongs to %d:%d, %v; want 101:102", st.Uid, st.Gid, err)
	}
}

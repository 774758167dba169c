package shim_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/podreload/podreload/shim"
	"github.com/podreload/podreload/testenv"
)

func ptr(n uint32) *uint32 { return &n }

// In a container with a user namespace every owner is the one that the container
// knows: in its image, in a volume whose ids are mapped, and in a filesystem
// that belongs to the namespace.
func TestUserNamespace(t *testing.T) {
	node := testenv.NewNode(t, testenv.V2)
	volume := t.TempDir()
	if err := os.Chmod(volume, 0o777); err != nil { // as the kubelet makes an emptyDir
		t.Fatal(err)
	}
	in := enter(t, node, testenv.PodConfig{Name: "users", UserNS: true}, testenv.ContainerConfig{
		Mounts: []testenv.Mount{{HostPath: volume, ContainerPath: "/volume"}},
	})
	// /dev is a tmpfs that was mounted inside the namespace.
	in.sh(`for dir in /etc /volume /dev; do echo old > $dir/old && chmod 640 $dir/old && chown 101:102 $dir/old; done`)

	maps := []shim.IDMap{{Inside: 0, Outside: testenv.UserNSBase, Size: 65536}}
	req := shim.Request{Op: shim.Apply, UID: 7, GID: 8, UIDMap: maps, GIDMap: maps, Signal: int(syscall.SIGHUP)}
	var want []shim.FileResult
	add := func(f shim.File, before, after *shim.Attributes) {
		f.Data = []byte("new\n")
		req.Files = append(req.Files, f)
		want = append(want, shim.FileResult{Path: f.Path, Changed: true, Existed: before != nil, Before: before, After: after})
	}
	for _, dir := range []string{"/etc", "/volume", "/dev"} {
		add(shim.File{Path: dir + "/old"}, &shim.Attributes{Mode: 0o640, UID: 101, GID: 102}, &shim.Attributes{Mode: 0o640, UID: 101, GID: 102})
		add(shim.File{Path: dir + "/fresh"}, nil, &shim.Attributes{Mode: 0o644, UID: 7, GID: 8})
		add(shim.File{Path: dir + "/last", UID: ptr(65535), GID: ptr(0)}, nil, &shim.Attributes{Mode: 0o644, UID: 65535})
		add(shim.File{Path: dir + "/a/b/deep", Mkdir: true, Mode: ptr(0o600)}, nil, &shim.Attributes{Mode: 0o600, UID: 7, GID: 8})
	}
	add(shim.File{Path: "/etc/nginx/nginx.conf"}, &shim.Attributes{Mode: 0o644}, &shim.Attributes{Mode: 0o644})

	res := in.cross(req)
	if diff := cmp.Diff(shim.Result{Files: want, Committed: true, Signalled: true}, res, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("apply (-want +got):\n%s", diff)
	}
	in.says("got hup")
	const seen = "640 101:102 old\n644 7:8 fresh\n644 65535:0 last\n755 7:8 a\n755 7:8 a/b\n600 7:8 a/b/deep"
	for _, dir := range []string{"/etc", "/volume", "/dev"} {
		if got := in.sh("cd " + dir + " && stat -c '%a %u:%g %n' old fresh last a a/b a/b/deep"); got != seen {
			t.Errorf("%s, seen from inside:\n%s\nwant\n%s", dir, got, seen)
		}
		if got := in.sh("cd " + dir + " && cat old fresh last a/b/deep && find . -name '.podreload*'"); got != "new\nnew\nnew\nnew" {
			t.Errorf("%s holds %q", dir, got)
		}
	}
	if got := in.sh("stat -c '%a %u:%g' /etc/nginx/nginx.conf"); got != "644 0:0" {
		t.Errorf("nginx.conf is %s", got)
	}
	for _, op := range []shim.Op{shim.Compare, shim.Apply} {
		req.Op = op
		if res := in.cross(req); res.Error != nil || res.Changed() || res.Signalled {
			t.Errorf("once more, op %d: %+v", op, res)
		}
	}
	testUnmapped(t, in, req, volume)
}

func testUnmapped(t *testing.T, in *crossed, req shim.Request, volume string) {
	req.Files = []shim.File{{Path: "/volume/x", UID: ptr(65536)}}
	in.refused(req, "stage /volume/x: user 65536 does not exist in the container's user namespace; choose another owner")
	req.Files = []shim.File{{Path: "/volume/x", GID: ptr(70000)}}
	in.refused(req, "stage /volume/x: group 70000 does not exist in the container's user namespace; choose another owner")

	// A file that nobody inside can own.
	foreign := filepath.Join(volume, "foreign")
	if err := os.WriteFile(foreign, []byte("old\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(foreign, 100000, 100000); err != nil {
		t.Fatal(err)
	}
	req.Files = []shim.File{{Path: "/volume/foreign", Data: []byte("new\n")}}
	in.refused(req, "look at the existing file /volume/foreign: it belongs to user 65534, group 65534 as the node sees it, whom the container's user "+
		"namespace does not have; remove it, or give it an owner that the container has")
}

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

// What a pod's volumes look like from inside, and what a person is told to do
// about those that cannot be written to.
func TestVolumes(t *testing.T) {
	node := testenv.NewNode(t, testenv.Debian)
	config, empty, file := configMap(t), t.TempDir(), filepath.Join(t.TempDir(), "sub")
	if err := os.WriteFile(file, []byte("of the subPath\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	in := enter(t, node, testenv.PodConfig{Name: "volumes"}, testenv.ContainerConfig{
		ReadonlyRoot: true,
		Mounts: []testenv.Mount{
			{HostPath: config, ContainerPath: "/config", ReadOnly: true},
			{HostPath: config, ContainerPath: "/config-rw"},
			{HostPath: empty, ContainerPath: "/empty"},
			{HostPath: file, ContainerPath: "/empty/sub.conf"},
		},
	})
	for _, test := range []struct {
		about string
		file  shim.File
		words string
	}{
		{
			"a ConfigMap", shim.File{Path: "/config/app.conf"},
			"stage /config/app.conf: read-only file system: mount a volume, an emptyDir for example, at /config",
		},
		{
			"without a ConfigMap's file", shim.File{Path: "/config/app.conf", Absent: true},
			"commit /config/app.conf: read-only file system: mount a volume, an emptyDir for example, at /config",
		},
		{
			"a new file beside a ConfigMap's", shim.File{Path: "/config/other.conf"},
			"stage /config/other.conf: read-only file system: mount a volume, an emptyDir for example, at /config",
		},
		{
			"a subPath", shim.File{Path: "/empty/sub.conf"},
			"look at the existing file /empty/sub.conf: it is a mount point (a subPath, or a file that is mounted by itself), " +
				"which cannot be replaced at once; mount the directory that it is in instead",
		},
		{
			"without a subPath", shim.File{Path: "/empty/sub.conf", Absent: true},
			"look at the existing file /empty/sub.conf: it is a mount point (a subPath, or a file that is mounted by itself), " +
				"which cannot be replaced at once; mount the directory that it is in instead",
		},
		{
			"the read-only root", shim.File{Path: "/etc/nginx/nginx.conf"},
			"stage /etc/nginx/nginx.conf: read-only file system: mount a volume, an emptyDir for example, at /etc/nginx",
		},
		{
			"a directory in the read-only root", shim.File{Path: "/etc/new/app.conf", Mkdir: true},
			"open the parent directory /etc/new/app.conf: read-only file system: mount a volume, an emptyDir for example, at /etc/new",
		},
		{
			"the pod's own hosts file", shim.File{Path: "/etc/hosts"},
			"look at the existing file /etc/hosts: it is a mount point (a subPath, or a file that is mounted by itself), " +
				"which cannot be replaced at once; mount the directory that it is in instead",
		},
	} {
		t.Run(test.about, func(t *testing.T) {
			in.t = t
			files := []shim.File{{Path: "/empty/first"}, test.file, {Path: "/empty/last"}}
			in.refused(shim.Request{Op: shim.Apply, Signal: int(syscall.SIGHUP), Files: files}, test.words)
		})
	}
	in.t = t
	if got := in.sh("cat /config/app.conf /empty/sub.conf; ls -A /empty"); got != "of the map\nof the subPath\nsub.conf" {
		t.Errorf("after all that: %q", got)
	}

	// An emptyDir makes the root's being read-only no matter.
	req := shim.Request{Op: shim.Apply, Signal: int(syscall.SIGHUP), Files: []shim.File{
		{Path: "/empty/a.conf", Data: []byte("a\n")}, {Path: "/empty/conf.d/b.conf", Data: []byte("b\n"), Mkdir: true},
	}}
	if res := in.cross(req); res.Error != nil || !res.Signalled {
		t.Errorf("into the emptyDir: %+v", res)
	}
	in.says("got hup")
	if got := in.sh("cat /empty/a.conf /empty/conf.d/b.conf"); got != "a\nb" {
		t.Errorf("in the emptyDir: %q", got)
	}

	// Where it may be written to, a ConfigMap's file is a link, which is replaced:
	// what it leads to stays as the kubelet made it, and shows in what was before.
	res := in.cross(shim.Request{Op: shim.Apply, Files: []shim.File{{Path: "/config-rw/app.conf", Data: []byte("ours\n")}}})
	want := shim.Result{Committed: true, Files: []shim.FileResult{{
		Path: "/config-rw/app.conf", Changed: true, Existed: true, Before: &shim.Attributes{Mode: 0o644}, After: &shim.Attributes{Mode: 0o644},
	}}}
	if diff := cmp.Diff(want, res, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("over a link (-want +got):\n%s", diff)
	}
	if got := in.sh("cat /config-rw/app.conf /config-rw/..data/app.conf"); got != "ours\nof the map" {
		t.Errorf("over a link: %q", got)
	}
}

// configMap makes a volume as the kubelet's AtomicWriter does: a directory of a
// time, a link to it, and a link for every file.
func configMap(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	stamp := "..2026_11_22_08_00_00.123456789"
	for _, err := range []error{
		os.Mkdir(filepath.Join(dir, stamp), 0o755),
		os.WriteFile(filepath.Join(dir, stamp, "app.conf"), []byte("of the map\n"), 0o644),
		os.Symlink(stamp, filepath.Join(dir, "..data")),
		os.Symlink("..data/app.conf", filepath.Join(dir, "app.conf")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

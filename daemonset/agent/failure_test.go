package agent_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/testenv"
)

// TestRenderFails: the files stay, and when the value is good again as it was,
// that costs no reload.
func TestRenderFails(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	c := r.pod(testenv.PodConfig{}).Container("nginx")
	r.start()
	r.live(c, r.put("value"))
	before := nginxOf(t, c)
	if _, err := r.etcd.Client().Delete(t.Context(), r.key("value")); err != nil {
		t.Fatal(err)
	}
	r.in(c, daemonset.Failed, r.name+".tmpl", "put the key")
	if s := r.live(c, r.put("value")); s.Reloads != 1 || s.Reason != "" {
		t.Errorf("status %+v, want the one reload of before", s)
	}
	wantUntouched(t, c, before)
}

// TestDiskFull: no half a file, and all by itself when there is space again.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	dir := tmpfs(t, "64k")
	p := r.pod(testenv.PodConfig{Containers: []testenv.ContainerConfig{
		{Name: "nginx", Mounts: []testenv.Mount{{HostPath: dir, ContainerPath: "/etc/nginx/conf.d"}}},
	}})
	c := p.Container("nginx")
	r.start()
	first := r.live(c, r.put("small"))
	fill := filepath.Join(dir, "fill")
	if err := os.WriteFile(fill, make([]byte, 128<<10), 0o644); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("fill the disk: %v", err)
	}
	revision := r.put("does not fit")
	r.in(c, daemonset.Failed, "is full; free some space")
	if got := exec(t, c, "ls -A /etc/nginx/conf.d; cat /etc/nginx/conf.d/default.conf"); !strings.HasPrefix(got, "default.conf\nfill\n") || !strings.Contains(got, `"small"`) {
		t.Errorf("inside there is\n%s", got)
	}
	serves(t, p, "small")
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	if s := r.live(c, revision); s.Reloads != first.Reloads+1 {
		t.Errorf("%d reloads, want %d", s.Reloads, first.Reloads+1)
	}
	serves(t, p, "does not fit")
}

// TestToldWithoutWayBack: of a change whose files cannot be kept for the way back it is said just that.
func TestToldWithoutWayBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	c := r.pod(testenv.PodConfig{}).Container("nginx")
	r.start()
	r.live(c, r.put("one"))
	if err := os.Rename(r.path("kept/contents"), r.path("kept/away")); err != nil { // no file can be made there
		t.Fatal(err)
	}
	revision := r.put("two")
	r.live(c, revision)
	eventually(t, "it is said", func() error {
		if len(r.said.lines("not all of a change is in the target's history", "for the way back")) == 0 {
			return errors.New("it is not")
		}
		return nil
	})
	told, err := r.applier.Store.History(r.manual(c).Target.Container.String())
	if err != nil || len(told) == 0 || told[len(told)-1].Revision != revision {
		t.Errorf("the history is %+v, %v, want revision %d in it", told, err, revision)
	}
}

// TestReadOnlyRoot says which directory needs a volume.
func TestReadOnlyRoot(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	nginx := testenv.ContainerConfig{Name: "nginx", ReadonlyRoot: true}
	for _, dir := range []string{"/run", "/var/lib/nginx", "/var/log/nginx"} {
		nginx.Mounts = append(nginx.Mounts, testenv.Mount{HostPath: t.TempDir(), ContainerPath: dir})
	}
	p := r.pod(testenv.PodConfig{Containers: []testenv.ContainerConfig{nginx}})
	serves(t, p, "hello from the image\n")
	r.put("never")
	r.start()
	r.in(p.Container("nginx"), daemonset.Unsupported, "mount a volume", "at /etc/nginx/conf.d")
}

// TestContainerDiesHalfWay: between the signal and its proof.
func TestContainerDiesHalfWay(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.applier.Timeout = time.Hour // the end is noticed, not waited for
	p := r.pod(testenv.PodConfig{})
	c := p.Container("nginx")
	r.start()
	r.live(c, r.put("one"))
	master := nginxOf(t, c).master
	stopped(t, master)
	revision := r.put("two")
	pending(t, master, unix.SIGHUP)
	kill(t, master, unix.SIGKILL)
	r.gone(c)
	again, err := p.Restart(t.Context(), "nginx")
	if err != nil {
		t.Fatal(err)
	}
	r.live(again, revision)
	serves(t, p, "two")
}

// TestStuckContainer: a filesystem that never answers holds up its container
// and no other.
func TestStuckContainer(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	r.applier.Timeout = time.Hour // nothing but the end of the filesystem ends it
	stuck := r.pod(testenv.PodConfig{Name: r.name + "-stuck"}).Container("nginx")
	well := r.pod(testenv.PodConfig{Name: r.name + "-well"}).Container("nginx")
	r.start()
	first := r.put("one")
	before := r.live(stuck, first) // at a later revision if other keys were put since
	r.live(well, first)
	release := mountDead(t, stuck, "/etc/nginx/conf.d")
	revision := r.put("two")
	r.await(stuck, "the apply has begun", func(s daemonset.Status) bool { return s.Owed })
	r.live(well, revision)
	if s, err := r.applier.Store.Load(stuck.ID); err != nil || s.State != daemonset.Live || s.Revision != before.Revision {
		t.Errorf("the other was not stuck: %+v, %v", s, err)
	}
	release()
	r.live(stuck, revision)
}

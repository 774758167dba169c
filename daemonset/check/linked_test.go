package check_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/podreload/podreload/daemonset/check"
	"github.com/podreload/podreload/daemonset/turns"
	"github.com/podreload/podreload/testenv"
)

// TestFolderBehindLink: --state may be a path with links, such as /var/run/podreload is.
func TestFolderBehindLink(t *testing.T) {
	t.Parallel()
	r := newRig(t, testenv.SharedNode(t, testenv.V2))
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(filepath.Dir(r.dir), link); err != nil {
		t.Fatal(err)
	}
	checker, err := check.Open(filepath.Join(link, filepath.Base(r.dir)), turns.New(check.AtOnce(), check.Turn), func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := checker.Close(); err != nil {
			t.Error(err)
		}
	}()
	_, c := r.pod(testenv.PodConfig{}, testenv.ContainerConfig{})
	if _, err := checker.Check(t.Context(), r.trial(c, file(conf, good), "nginx", "-t")); err != nil {
		t.Error(err)
	}
}

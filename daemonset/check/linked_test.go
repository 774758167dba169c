package check_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
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

// TestFolderBehindOddLink: what a link leads to has to be a path for an overlay as well.
func TestFolderBehindOddLink(t *testing.T) {
	testenv.NeedsRoot(t)
	odd, link := filepath.Join(t.TempDir(), "a,b"), filepath.Join(t.TempDir(), "link")
	if err := errors.Join(os.Mkdir(odd, 0o755), os.Symlink(odd, link)); err != nil {
		t.Fatal(err)
	}
	if c, err := check.Open(link, turns.New(check.AtOnce(), check.Turn), nil); err == nil || !strings.Contains(err.Error(), "comma") {
		t.Errorf("%v, %v; want an error that tells of the comma", c, err)
	}
}

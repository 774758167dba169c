package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/podreload/podreload/testenv"
)

var least = flag.Bool("least", false, "take away each capability of the overlay and say what breaks")

var capability = regexp.MustCompile(`(?m)^ +- ([A-Z_]+)$`)

// TestLeast takes away one capability after the other from the overlay "capabilities" and shows which
// pods are not served then: where daemonset/README.md has its table from. One that can go is an error.
func TestLeast(t *testing.T) {
	if !*least {
		t.Skip("-least runs it")
	}
	*base = "capabilities"
	r := newRig(t, testenv.V2)
	root, err := testenv.Repository()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "daemonset", "manifests", "capabilities", "capabilities.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range capability.FindAllStringSubmatch(string(text), -1) {
		all = append(all, m[1])
	}
	r.put("start")
	r.install()
	ips := map[string]string{}
	for _, k := range kinds {
		if k.fits(testenv.V2) {
			ips[k.name] = r.deployKind(k)
		}
	}
	if failed := r.failing(ips, "all of them", waitTimeout); failed != "" {
		t.Fatalf("with all of them: %s", failed)
	}
	for _, missing := range all {
		var left []string
		for _, c := range all {
			if c != missing {
				left = append(left, c)
			}
		}
		r.kubectl("-n", "podreload", "patch", "daemonset", "podreload", "-p", fmt.Sprintf(
			`{"spec": {"template": {"spec": {"containers": [{"name": "podreload", "securityContext": {"capabilities": {"add": ["%s"]}}}]}}}}`,
			strings.Join(left, `", "`)))
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		_, err := r.Kubectl(ctx, "-n", "podreload", "rollout", "status", "daemonset/podreload", "--timeout", "25s")
		cancel()
		failed := r.failing(ips, "without "+missing, 12*time.Second)
		if err == nil && failed == "" {
			t.Errorf("%s: nothing breaks without it", missing)
			continue
		}
		t.Logf("%s: %s", missing, failed)
	}
}

// failing puts a text and says which pods do not serve it in time, and why.
func (r *rig) failing(ips map[string]string, text string, timeout time.Duration) string {
	r.t.Helper()
	r.put(text)
	ctx, cancel := context.WithTimeout(r.t.Context(), timeout)
	defer cancel()
	var mu sync.Mutex
	var failed []string
	var all sync.WaitGroup
	for app, ip := range ips {
		all.Go(func() {
			if err := testenv.Poll(ctx, func() error {
				got, err := get(ctx, ip)
				if err == nil && got != text {
					err = fmt.Errorf("got %q", got)
				}
				return err
			}); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = append(failed, app)
			}
		})
	}
	all.Wait()
	slices.Sort(failed)
	if len(failed) == 0 {
		return ""
	}
	ctx, cancel = context.WithTimeout(r.t.Context(), 10*time.Second)
	defer cancel()
	out, err := r.podreload(ctx, "ps", "--no-trunc")
	if err != nil {
		out, _ = r.Kubectl(ctx, "-n", "podreload", "logs", "daemonset/podreload", "--tail=3")
	}
	return fmt.Sprintf("not served: %v\n%s", failed, out)
}

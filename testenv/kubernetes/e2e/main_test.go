// Package e2e installs podreload from its image and its manifests on a real Kubernetes and
// lives with it: `make test-kubernetes`. Without -kubernetes its tests skip, since a plain
// `go test ./...` has neither the image nor Kubernetes.
package e2e

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/podreload/podreload/testenv/kubernetes"
)

var (
	enabled = flag.Bool("kubernetes", false, "run the tests; see make test-kubernetes")
	base    = flag.String("base", "base", "the `FOLDER` of daemonset/manifests to install")
	images  = flag.String("images", "build/image", "the `DIR`, from the repository's root, with the images e2e-1.tar and e2e-2.tar")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *enabled {
		if err := kubernetes.Isolate(); err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

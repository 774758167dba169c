package daemonset_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/podreload/podreload"

// listed is what `go list -json` tells of a package.
type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

// rule keeps an import to those who may have it. Packages are named without
// the module; testenv and test files are outside all of this.
type rule struct {
	imported string   // a package, or with a trailing /... all below it too
	users    []string // who may import it; a trailing /... as above
	why      string
}

var rules = []rule{
	{"golang.org/x/sys/unix", []string{"nsenter/...", "shim", "daemonset/check", "daemonset/verify", "daemonset/state"},
		"raw system calls stay where their rules are written down"},
	{"os/exec", []string{"nsenter", "daemonset/check"},
		"a program that is root on every node starts others in few places, each reviewed"},
	{"go.etcd.io/etcd/...", []string{"daemonset/source", "daemonset/status"},
		"one place knows what etcd is; everything else sees snapshots"},
	{"github.com/containerd/...", []string{"daemonset/pods", "daemonset/check", "daemonset/exec"},
		"one place knows what the runtime is; everything else sees containers"},
	{"github.com/containerd/nri/...", []string{"daemonset/pods"},
		"what containerd tells plugins of is told on as containers; nothing else is a plugin"},
	{"github.com/containerd/ttrpc", []string{"daemonset/pods"},
		"NRI is spoken in one place"},
	{"golang.org/x/net/...", []string{"daemonset/facts"},
		"names are resolved in one place, by the container's own files and network"},
	{"github.com/prometheus/...", []string{"daemonset/status"},
		"one place knows what Prometheus is; everything else says what happened"},
	{"github.com/sirupsen/logrus", []string{"daemonset/agent", "daemonset/status", "cmd/podreload"},
		"leaf packages return errors; who knows target and revision logs them"},
	{"github.com/urfave/cli/...", []string{"cmd/podreload"}, "flags end where the commands end"},
	{module + "/testenv/...", nil, "test parts are not shipped"},
	{module + "/cmd/...", nil, "nothing builds on a command"},
	{module + "/daemonset/agent", []string{"cmd/podreload"}, "the loop is the top of the house"},
	{module + "/daemonset", []string{"daemonset/...", "cmd/podreload"}, "the crossing does not know what it carries"},
	{module + "/nsenter/...", []string{"daemonset/...", "nsenter/...", "cmd/podreload", "cmd/podreload-shim"}, "shim is beside it, not above it"},
	{module + "/shim/...", []string{"daemonset/...", "cmd/podreload-shim", "shim/..."}, "nsenter does not know what it carries"},
}

func TestImports(t *testing.T) {
	packages := list(t)
	for _, p := range packages {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		for _, imported := range p.Imports {
			for _, r := range rules {
				if matches(r.imported, imported) && !slices.ContainsFunc(r.users, func(u string) bool { return matches(u, name) }) {
					t.Errorf("%s imports %s: only %v may: %s", name, imported, r.users, r.why)
				}
			}
			if sibling(name, imported) {
				t.Errorf("%s imports its sibling %s: agent wires them through interfaces that it declares itself", name, imported)
			}
		}
	}
}

// TestWordsAndShimStayAlone holds the two packages that must not grow
// dependencies: the words import nothing of ours, the shim only what can be
// read in an afternoon, since it runs with root in hostile containers.
func TestWordsAndShimStayAlone(t *testing.T) {
	for _, p := range list(t) {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		for _, dep := range p.Deps {
			ours := strings.HasPrefix(dep, module+"/")
			third := strings.Contains(strings.Split(dep, "/")[0], ".") && !ours && !strings.HasPrefix(dep, "golang.org/x/sys/")
			switch {
			case name == "daemonset" && (ours || third):
				t.Errorf("daemonset depends on %s: the words import nothing of ours and nothing foreign", dep)
			case (name == "shim" || matches("nsenter/...", name) || name == "cmd/podreload-shim") && third:
				t.Errorf("%s depends on %s: stdlib and golang.org/x/sys only", name, dep)
			case name == "shim" && ours:
				t.Errorf("shim depends on %s: it is the part that everything else is checked against", dep)
			}
		}
	}
}

// sibling: two packages below daemonset/, neither of which is agent.
func sibling(name, imported string) bool {
	imported = strings.TrimPrefix(imported, module+"/")
	return path.Dir(name) == "daemonset" && path.Dir(imported) == "daemonset" && name != "daemonset/agent"
}

func matches(pattern, name string) bool {
	if below, ok := strings.CutSuffix(pattern, "/..."); ok {
		return name == below || strings.HasPrefix(name, below+"/")
	}
	return name == pattern
}

// list asks the go command for the packages that are shipped.
func list(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", "./...")
	cmd.Dir = ".."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	var packages []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(p.ImportPath, module+"/testenv") {
			packages = append(packages, p)
		}
	}
	if len(packages) < 5 {
		t.Fatalf("go list found %d packages only: the rules would check nothing", len(packages))
	}
	return packages
}

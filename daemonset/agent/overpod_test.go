package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/template"
)

// A dest that a pod lacks the label for is Invalid, since waiting mends nothing;
// keys that use the pod are Unsupported as long as feeds do not follow them.
func TestOverPod(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"templates/t":      "x",
		"conf.d/dest.toml": "[template]\nsrc = \"t\"\ndest = '/etc/{{ label \"app\" }}'\nkeys = []\n",
		"conf.d/keys.toml": "[template]\nsrc = \"t\"\ndest = '/t'\nkeys = ['/{{ pod }}']\n[profile]\nnamespaces = [\"*\"]\n",
	} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	config, err := template.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	job := func(profile string, labels map[string]string) Job {
		p, _ := config.Profile(profile)
		return Job{Profile: p, Target: daemonset.Target{Container: daemonset.Container{
			Runtime: "io.containerd.runc.v2", Pod: daemonset.Pod{Name: "p", Namespace: "n", Labels: labels},
		}}}
	}
	if err := supported(job("keys", nil)); StateOf(err) != daemonset.Unsupported || !strings.Contains(err.Error(), "prefix or keys of profile keys") {
		t.Errorf("keys: %v", err)
	}
	if err := supported(job("dest", nil)); err != nil {
		t.Errorf("dest: %v", err)
	}
	if _, err := Render(job("dest", nil)); StateOf(err) != daemonset.Invalid || !strings.Contains(err.Error(), `no label "app"`) {
		t.Errorf("no label: %v", err)
	}
}

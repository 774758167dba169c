package testenv

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// config is what containerd runs with. Version 2 of the format is understood by 1.6 and by 2.x,
// which moves the sandbox image to where it looks for it.
//
//   - Everything has a place below dir, the NRI socket and the network
//     namespaces too, so that a containerd of the machine's own is not touched.
//   - restrict_oom_score_adj: a negative score needs CAP_SYS_RESOURCE, which
//     containers that run tests often lack.
//   - disable_apparmor: else its profile would be loaded into this machine's kernel.
const config = `version = 2
root = "DIR/root"
state = "DIR/state"
disabled_plugins = ["io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]

[grpc]
  address = "DIR/containerd.sock"

[plugins."io.containerd.internal.v1.opt"]
  path = "DIR/opt"

[plugins."io.containerd.nri.v1.nri"]
  socket_path = "DIR/nri.sock"
  plugin_path = "DIR/nri/plugins"
  plugin_config_path = "DIR/nri/conf.d"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "PAUSE"
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "DIR/cni/bin"
    conf_dir = "DIR/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        BinaryName = "RUNC"
        Root = "DIR/runc"
`

const cniConfig = `{"cniVersion": "0.4.0", "name": "testenv", "plugins": [{"type": "testenv"}]}
`

// cniPlugin answers what CRI wants to hear, an address on eth0, and changes nothing: a
// pod has loopback only, which containerd brings up with the real loopback plugin.
const cniPlugin = `#!/bin/sh
case $CNI_COMMAND in
ADD) echo "{\"cniVersion\": \"0.4.0\",
	\"interfaces\": [{\"name\": \"eth0\", \"sandbox\": \"$CNI_NETNS\"}],
	\"ips\": [{\"version\": \"4\", \"interface\": 0, \"address\": \"127.0.0.1/8\"}]}" ;;
VERSION) echo '{"cniVersion": "0.4.0", "supportedVersions": ["0.3.1", "0.4.0"]}' ;;
esac
`

// configure writes the configuration of a containerd below dir and returns its path. Pods get
// the CNI network, loopback only if it is empty.
func configure(dir, runc, network string, p parts) (string, error) {
	if network == "" {
		network = cniConfig
	}
	bin := filepath.Join(dir, "cni", "bin")
	net := filepath.Join(dir, "cni", "net.d")
	for _, d := range []string{bin, net} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return "", err
		}
	}
	toml := filepath.Join(dir, "config.toml")
	fill := strings.NewReplacer("DIR", dir, "PAUSE", pauseImage, "RUNC", runc)
	for _, f := range []struct {
		path, text string
		mode       os.FileMode
	}{
		{toml, fill.Replace(config), 0o644},
		{filepath.Join(net, "10-testenv.conflist"), network, 0o644},
		{filepath.Join(bin, "testenv"), cniPlugin, 0o755},
	} {
		if err := os.WriteFile(f.path, []byte(f.text), f.mode); err != nil {
			return "", fmt.Errorf("configure containerd: %w", err)
		}
	}
	for _, plugin := range []string{"loopback", "bridge", "host-local"} {
		if err := os.Symlink(p.path("usr/lib/cni", plugin), filepath.Join(bin, plugin)); err != nil && !os.IsExist(err) {
			return "", fmt.Errorf("configure containerd: %w", err)
		}
	}
	return toml, nil
}

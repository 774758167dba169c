package testenv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ExperimentPod is the pod that podreload began with: a registry-like server
// and nginx in front of it, which share network, IPC and UTS but no PIDs. The
// registry answers /cgi-bin/slow in two parts, two seconds apart, so that a
// request can be caught in flight.
func ExperimentPod() PodConfig {
	const slow = `#!/bin/sh
printf 'Content-Type: text/plain\r\n\r\nstarted\n'; sleep 2; echo finished
`
	return PodConfig{
		Name:   "registry-0",
		Labels: map[string]string{"app": "registry", "podreload.io/profile": "web"},
		Containers: []ContainerConfig{
			{Name: "registry", Command: []string{"sh", "-c", `mkdir -p /www/cgi-bin && printf '%s' "$SLOW" >/www/cgi-bin/slow &&
chmod 755 /www/cgi-bin/slow && exec httpd -f -p 5000 -h /www`}, Env: []string{"SLOW=" + slow}},
			{Name: "nginx"},
		},
	}
}

// ExperimentKey is the key that the experiment's template reads.
const ExperimentKey = "/web/greeting"

// ExperimentConf is the confdir of the experiment: one profile, one template.
func ExperimentConf() map[string]string {
	return map[string]string{
		"conf.d/web.toml": `[template]
src    = "web.conf.tmpl"
dest   = "/etc/nginx/conf.d/default.conf"
prefix = "/web"
keys   = ["/greeting"]

[profile]
process = "nginx"
`,
		"templates/web.conf.tmpl": `server {
    listen 80;
    location / {
        default_type text/plain;
        return 200 "{{getv "/greeting"}}\n";
    }
    location /cgi-bin/ {
        proxy_pass http://127.0.0.1:5000;
        proxy_buffering off;
    }
}
`,
	}
}

// WriteTree writes files, by their paths below dir.
func WriteTree(dir string, files map[string]string) error {
	var errs []error
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		errs = append(errs, os.WriteFile(path, []byte(text), 0o644))
	}
	return errors.Join(errs...)
}

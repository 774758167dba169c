package testenv

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os/exec"
	"path"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

const pauseImage = "podreload.io/pause:latest"

// untrusted is a label of the test image that names a profile. An app
// container's labels are mixed with its image's, so whoever trusts those picks
// this one up.
var untrusted = map[string]string{"podreload.io/profile": "from-the-image"}

// images writes the test image and the pause image as one docker archive.
func images(p parts) ([]byte, error) {
	var test, pause layer
	if err := test.testImage(p); err != nil {
		return nil, fmt.Errorf("build the test image: %w", err)
	}
	if err := pause.copy(p.pause(), "pause"); err != nil {
		return nil, fmt.Errorf("build the pause image: %w", err)
	}
	return archive(
		image{name: Image, layer: &test, cmd: []string{"nginx", "-g", "daemon off;"}, labels: untrusted},
		image{name: pauseImage, layer: &pause, cmd: []string{"/pause"}},
	)
}

func (l *layer) testImage(p parts) error {
	for _, dir := range []string{
		"bin", "dev", "etc/apache2", "etc/haproxy", "etc/nginx/conf.d", "proc", "root", "run", "sbin", "sys",
		"usr/bin", "usr/lib/apache2/modules", "usr/sbin", "usr/share/nginx",
		"var/cache/nginx", "var/lib/nginx", "var/log/nginx", "www",
	} {
		l.mkdir(dir, 0o755)
	}
	l.mkdir("tmp", fs.ModeSticky|0o777)
	l.file("etc/passwd", 0o644, []byte(passwd))
	l.file("etc/group", 0o644, []byte(group))
	l.file("etc/nginx/nginx.conf", 0o644, []byte(nginxConf))
	l.file("etc/nginx/conf.d/default.conf", 0o644, []byte(defaultConf))
	l.file("etc/haproxy/haproxy.cfg", 0o644, []byte(haproxyConf))
	l.file("etc/apache2/apache2.conf", 0o644, []byte(apacheConf))

	applets, err := exec.Command(p.path("usr/bin/busybox"), "--list").Output()
	if err != nil {
		return fmt.Errorf("list busybox's applets: %w", err)
	}
	for _, name := range strings.Fields(string(applets)) {
		if name != "busybox" {
			l.symlink("bin/"+name, "busybox")
		}
	}
	files := map[string]string{
		p.path("etc/nginx/mime.types"): "etc/nginx/mime.types",
		p.path("usr/bin/busybox"):      "bin/busybox",
	}
	for _, name := range apacheModules {
		module := "usr/lib/apache2/modules/mod_" + name + ".so"
		files[p.path(module)] = module
	}
	for _, bin := range []string{"usr/bin/tini", "usr/sbin/apache2", "usr/sbin/haproxy", "usr/sbin/nginx"} {
		files[p.path(bin)] = bin
		if err := libraries(p, p.path(bin), files); err != nil {
			return err
		}
	}
	// Sorted, so that the same parts make the same image.
	for _, src := range slices.Sorted(maps.Keys(files)) {
		if err := l.copy(src, files[src]); err != nil {
			return err
		}
	}
	return l.err
}

// library is a line of the loader's --list: a name, then where it was found. The
// loader itself has no name there.
var library = regexp.MustCompile(`(?m)^\s+(?:\S+ => )?(/\S+) \(0x`)

// libraries adds what bin is linked with to files (source: destination). It asks the
// packages' own loader, so that a C library of another version on this machine
// does not matter.
func libraries(p parts, bin string, files map[string]string) error {
	loader, triplet := "/lib64/ld-linux-x86-64.so.2", "x86_64-linux-gnu"
	if runtime.GOARCH == "arm64" {
		loader, triplet = "/lib/ld-linux-aarch64.so.1", "aarch64-linux-gnu"
	}
	out, err := exec.Command(p.path(loader), "--library-path", p.path("usr/lib", triplet), "--list", bin).Output()
	if err != nil {
		return fmt.Errorf("find the libraries of %s: %w", bin, err)
	}
	for _, m := range library.FindAllStringSubmatch(string(out), -1) {
		if lib := m[1]; strings.HasPrefix(lib, p.path()) {
			files[lib] = path.Join("lib", triplet, path.Base(lib))
		}
	}
	files[p.path(loader)] = loader[1:]
	return nil
}

// image is one image of one layer.
type image struct {
	name   string
	layer  *layer
	cmd    []string
	labels map[string]string
}

// archive writes images in the format of `docker save`.
func archive(images ...image) ([]byte, error) {
	type entry struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	var out layer
	var manifest []entry
	for _, img := range images {
		diff, err := img.layer.close()
		if err != nil {
			return nil, err
		}
		config, err := json.Marshal(map[string]any{
			"architecture": runtime.GOARCH, "os": "linux",
			"config": map[string]any{
				"Cmd": img.cmd, "Labels": img.labels, "WorkingDir": "/",
				"Env": []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
			},
			"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + sum(diff)}},
		})
		if err != nil {
			return nil, err
		}
		e := entry{Config: sum(config) + ".json", RepoTags: []string{img.name}, Layers: []string{sum(diff) + "/layer.tar"}}
		out.file(e.Config, 0o644, config)
		out.file(e.Layers[0], 0o644, diff)
		manifest = append(manifest, e)
	}
	b, err := json.Marshal(manifest)
	if err != nil {
		return nil, err
	}
	out.file("manifest.json", 0o644, b)
	return out.close()
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

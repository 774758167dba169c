// Command image builds podreload's image from the repository's own Dockerfile, by buildah
// and without a registry: what the Dockerfile calls golang is an image of busybox alone, and the
// Go of this machine, its module cache and its build cache are mounted where the real one has
// them. It writes a docker archive. Everything else of it lives below build/image.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

type builder struct {
	root     string // of the repository
	parts    string
	dir      string // build/image
	tag      string
	version  string
	revision string
	platform string
	out      string
}

func main() {
	var b builder
	flag.StringVar(&b.tag, "tag", "podreload.io/podreload:dev", "the image's `NAME:TAG`")
	flag.StringVar(&b.version, "version", "dev", "the `VERSION` that podreload says it is")
	flag.StringVar(&b.revision, "revision", "unknown", "the `COMMIT` for the image's labels")
	flag.StringVar(&b.platform, "platform", "linux/"+runtime.GOARCH, "`OS/ARCH` that it is for")
	flag.StringVar(&b.out, "o", "build/image/podreload.tar", "the `FILE` to write, a docker archive")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := b.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func (b *builder) run(ctx context.Context) (err error) {
	if b.root, err = os.Getwd(); err != nil {
		return err
	}
	if _, err := os.Stat("Dockerfile"); err != nil {
		return fmt.Errorf("%w: call it in the repository's root", err)
	}
	if b.parts = os.Getenv("PODRELOAD_PARTS"); b.parts == "" {
		b.parts = filepath.Join(b.root, "build", "parts")
	}
	if _, err := os.Stat(b.buildah()); err != nil {
		return fmt.Errorf("%w: run make parts-kubernetes", err)
	}
	if b.out, err = filepath.Abs(b.out); err != nil {
		return err
	}
	b.dir = filepath.Join(b.root, "build", "image")
	if err := b.addLibraries(); err != nil {
		return err
	}
	base, err := b.base()
	if err != nil {
		return err
	}
	if err := b.standIn(ctx, base); err != nil {
		return fmt.Errorf("make the stand-in for golang: %w", err)
	}
	if err := b.bud(ctx); err != nil {
		return err
	}
	// An archive is not written over.
	if err := os.Remove(b.out); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return b.call(ctx, "push", b.tag, "docker-archive:"+b.out+":"+b.tag)
}

// standIn makes an image of a shell and the few tools that the Dockerfile calls. Anew each
// time: it takes a moment, and nobody has to ask whether it is of today's busybox. Names
// without a host are looked for among the local images first.
func (b *builder) standIn(ctx context.Context, base string) error {
	dir := filepath.Join(b.dir, "golang")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	for _, d := range []string{"root/bin", "root/etc", "root/go/pkg/mod", "root/root/.cache/go-build", "root/tmp", "root/usr/local/go"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	busybox, err := os.ReadFile(filepath.Join(b.parts, "root/usr/bin/busybox"))
	if err != nil {
		return err
	}
	for _, tool := range []string{"sh", "sha256sum", "cut", "mkdir"} {
		if err := os.Symlink("busybox", filepath.Join(dir, "root/bin", tool)); err != nil {
			return err
		}
	}
	// Modules come from the mounted cache alone: what is missing there is an error at once.
	const dockerfile = `FROM scratch
COPY root /
ENV PATH=/usr/local/go/bin:/bin GOPATH=/go GOCACHE=/root/.cache/go-build GOTOOLCHAIN=local GOPROXY=off HOME=/root
`
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "root/bin/busybox"), busybox, 0o755),
		os.WriteFile(filepath.Join(dir, "root/etc/passwd"), []byte("root:x:0:0:root:/root:/bin/sh\n"), 0o644),
		os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o644),
		b.call(ctx, "bud", "--isolation", "chroot", "--quiet", "--tag", "localhost/"+base, dir),
	)
}

// bud builds the Dockerfile.
func (b *builder) bud(ctx context.Context) error {
	env, err := goEnv(ctx, "GOROOT", "GOMODCACHE", "GOCACHE")
	if err != nil {
		return err
	}
	// `go mod download` in the Dockerfile wants all of go.sum's modules in the cache.
	if out, err := exec.CommandContext(ctx, "go", "mod", "download").CombinedOutput(); err != nil {
		return fmt.Errorf("go mod download: %w: %s", err, out)
	}
	return b.call(ctx, "bud", "--isolation", "chroot", "--pull-never", "--quiet",
		"--volume", env[0]+":/usr/local/go:ro", "--volume", env[1]+":/go/pkg/mod", "--volume", env[2]+":/root/.cache/go-build",
		"--platform", b.platform, "--build-arg", "VERSION="+b.version, "--build-arg", "REVISION="+b.revision,
		"--build-arg", "BUILDPLATFORM=linux/"+runtime.GOARCH, // older buildahs do not know it before FROM
		"--timestamp", "0", // the same sources, the same image
		"--tag", b.tag, b.root)
}

var goVersion = regexp.MustCompile(`(?m)^ARG GO_VERSION=(\S+)$`)

// base is what the Dockerfile calls its first base.
func (b *builder) base() (string, error) {
	text, err := os.ReadFile("Dockerfile")
	if err != nil {
		return "", err
	}
	m := goVersion.FindSubmatch(text)
	if m == nil {
		return "", errors.New("the Dockerfile has no ARG GO_VERSION=")
	}
	return "golang:" + string(m[1]), nil
}

func (b *builder) buildah() string { return filepath.Join(b.parts, "buildah/root/usr/bin/buildah") }

// addLibraries lets buildah find those of its libraries that this machine lacks, for this
// program's main thread and what it starts only: a mount namespace, in which also ends whatever buildah
// mounts. LD_LIBRARY_PATH will not do, since buildah starts itself again without an environment.
func (b *builder) addLibraries() error {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare: %w; run as root", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	dirs, err := filepath.Glob(filepath.Join(b.parts, "buildah/root/usr/lib/*-linux-gnu*"))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		own := filepath.Join("/usr/lib", filepath.Base(dir))
		if err := unix.Mount("overlay", own, "overlay", unix.MS_RDONLY, "lowerdir="+own+":"+dir); err != nil {
			return fmt.Errorf("add libraries to %s: %w", own, err)
		}
	}
	return nil
}

// call runs buildah with its storage below our folder.
func (b *builder) call(ctx context.Context, command string, args ...string) error {
	etc := filepath.Join(b.parts, "buildah/root/etc/containers")
	global := []string{
		"--root", filepath.Join(b.dir, "storage"), "--runroot", filepath.Join(b.dir, "run"), "--storage-driver", "vfs",
		"--registries-conf", filepath.Join(etc, "registries.conf"), command, "--signature-policy", filepath.Join(etc, "policy.json"),
	}
	cmd := exec.CommandContext(ctx, b.buildah(), append(global, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("buildah %s: %w:\n%s", command, err, out)
	}
	return nil
}

// goEnv asks the go command for settings.
func goEnv(ctx context.Context, names ...string) ([]string, error) {
	out, err := exec.CommandContext(ctx, "go", append([]string{"env"}, names...)...).Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != len(names) {
		return nil, fmt.Errorf("go env %v: want %d lines, got %q", names, len(names), out)
	}
	return lines, nil
}

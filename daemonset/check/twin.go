package check

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/nsenter"
)

// twin is one twin, from its first folder to its last. All that is of it lies in one
// tmpfs, so that it goes with one unmount however a hostile command has filled it, and
// nothing of it gets to a disk.
type twin struct {
	c       *Checker
	id      string
	target  string // id of the container that it is a twin of
	dir     string // the tmpfs
	binary  string // the OCI runtime
	systemd bool   // the runtime asks systemd for the cgroup
	cgroup  string // cgroupsPath
	mounts  []string
	single  []string // what the runtime needs of the node's mounts: see surroundings
	whole   []string

	init  *nsenter.Process // nil until made
	ended bool             // the init was reaped
	said  *output
	root  [2]int // user and group of its root, as the node numbers them

	size   int64 // of the tmpfs, in bytes
	scarce bool  // it is less than it would be, for want of memory
}

// overhead is how much a command may change of the container's files, in bytes, besides
// what the trial itself writes: a file that it opens to append to is copied whole.
const overhead = 256 << 20

// newTwin makes the folders and mounts of a twin and its spec. The caller clears it
// away, also after an error.
func (c *Checker) newTwin(ctx context.Context, b bundle, trial Trial, pid int, command Command) (*twin, error) {
	var random [8]byte
	rand.Read(random[:]) // never fails
	t := &twin{c: c, id: fmt.Sprintf("podreload-%x", random), target: trial.Container.ID, binary: b.runtime}
	t.dir = filepath.Join(c.dir, t.id)
	return t, c.node.do(func() error { return t.prepare(ctx, b, trial, pid, command) })
}

func (t *twin) prepare(ctx context.Context, b bundle, trial Trial, pid int, command Command) error {
	spec, err := parseSpec(b.spec)
	if err != nil {
		return err
	}
	t.root = rootOf(spec)
	points, err := mountPoints()
	if err != nil {
		return err
	}
	theirs, err := mountPointsOf(strconv.Itoa(pid))
	if err != nil {
		return err
	}
	known := make(map[string]source) // each is asked for up to three times
	look := func(path string) (s source, err error) {
		s, ok := known[path]
		if !ok {
			if s, err = t.c.look(ctx, t.target, path); err == nil {
				known[path] = s
			}
		}
		return s, err
	}
	mounts, layers, err := volumes{dir: t.dir, users: hasUserNamespace(spec), look: look, points: points, theirs: theirs, files: trial.paths()}.twin(spec.Mounts)
	if err != nil {
		return err
	}
	root, err := lookAt(b.rootfs, 0)
	if err != nil {
		return err
	}
	rootLayer := layer{lower: b.rootfs, name: "root", like: root}
	if err := os.Mkdir(t.dir, 0o700); err != nil {
		return err
	}
	who, err := access(spec, t.dir)
	if err != nil {
		return err
	}
	if t.size, t.scarce, err = roomFor(trial, spec); err != nil {
		return err
	}
	if err := t.mount("tmpfs", "tmpfs", t.dir, fmt.Sprintf("%s,size=%d", who, t.size)); err != nil {
		return err
	}
	for _, l := range append(layers, rootLayer) {
		if err := t.make(l, pid); err != nil {
			return fmt.Errorf("make an overlay: %w", err)
		}
	}
	rootfs := filepath.Join(t.dir, "rootfs")
	if err := os.Mkdir(rootfs, 0o700); err != nil {
		return err
	}
	options := strings.Join(rootLayer.options(t.dir), ",")
	if spec.Linux.MountLabel != "" {
		options += fmt.Sprintf(",context=%q", spec.Linux.MountLabel) // as containerd mounts the target's
	}
	if err := t.mount("overlay", "overlay", rootfs, options); err != nil {
		return fmt.Errorf("%w: %w; a root that is itself two overlays deep takes no other", ErrUnsupported, err)
	}
	needed, err := places(look, b.runtime, spec.Mounts)
	if err != nil {
		return err
	}
	t.single, t.whole = surroundings(append(points, mountPoint{path: t.dir}), append(needed, t.dir))
	if err := os.Mkdir(t.room(), 0o700); err != nil {
		return err
	}
	if t.cgroup, err = twinCgroup(spec.Linux.CgroupsPath, t.id); err != nil {
		return err
	}
	_, _, _, t.systemd = systemdForm(t.cgroup)
	files, err := openFiles(pid, spec)
	if err != nil {
		return err
	}
	config, err := twinSpec(b.spec, change{args: command.Args, env: command.Env, id: t.id, pid: pid, mounts: mounts, files: files})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(t.dir, "config.json"), config, 0o600)
}

// roomFor is how large the tmpfs of a trial's twin may be, in bytes: what its files take, each staged beside the one that it
// replaces, and what the command may change besides. What a command writes there is memory of the pod's, which
// no end of a process frees: of what the pod has left below its limit it gets a half at most, or the kernel
// would kill the server for it; and so of the twin's own limit, which is the target's, with nothing used.
func roomFor(trial Trial, spec specs.Spec) (room int64, scarce bool, err error) {
	files := int64(2 * size(trial))
	room = files + overhead
	left := findCgroup(spec.Linux.CgroupsPath).parent().memoryLeft()
	if r := spec.Linux.Resources; r != nil && r.Memory != nil && r.Memory.Limit != nil && *r.Memory.Limit > 0 {
		left = min(left, *r.Memory.Limit)
	}
	if left/2 >= room {
		return room, false, nil
	}
	if room = left / 2; room < files+leastRoom {
		return 0, true, fmt.Errorf("there is no room for a trial: the container and its pod leave it %d KiB below their memory limits, and it may take half of that; it takes %d KiB",
			left>>10, (files+leastRoom)>>10)
	}
	return room, true, nil
}

// leastRoom is what the runtime keeps of a twin, and a little for the command, in bytes.
const leastRoom = 1 << 20

// make makes a layer's folders, and mounts what the runtime does not. What an overlay
// shows of its root is the upper's.
func (t *twin) make(l layer, pid int) error {
	for _, d := range []string{l.upper(t.dir), l.work(t.dir)} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
	}
	if l.shifted {
		if err := t.shift(&l, pid); err != nil {
			return err
		}
	}
	upper := l.upper(t.dir)
	if err := errors.Join(unix.Chown(upper, int(l.like.uid), int(l.like.gid)), unix.Chmod(upper, l.like.mode)); err != nil {
		return err
	}
	if !l.ours {
		return nil
	}
	if err := os.Mkdir(l.merged(t.dir), 0o700); err != nil {
		return err
	}
	if err := t.mount("overlay", "overlay", l.merged(t.dir), strings.Join(l.options(t.dir), ",")); err != nil {
		return fmt.Errorf("%w: %w; over a directory with mapped ids it takes Linux 5.19", ErrUnsupported, err)
	}
	return nil
}

// room is where the runtime's root is put together.
func (t *twin) room() string { return filepath.Join(t.dir, "room") }

func (t *twin) mount(kind, from, to, options string) error {
	if err := unix.Mount(from, to, kind, 0, options); err != nil {
		return fmt.Errorf("mount %s on %s: %w", kind, to, err)
	}
	t.mounts = append(t.mounts, to)
	return nil
}

// create has the runtime make the twin, up to where its command would be executed.
func (t *twin) create(ctx context.Context) error {
	said, theirs, err := openOutput()
	if err != nil {
		return err
	}
	t.said = said
	// As containerd's pipes are: in a pod with a user namespace nobody could open /dev/stderr by its name.
	if err := theirs.Chown(t.root[0], t.root[1]); err != nil {
		theirs.Close()
		return err
	}
	inits.births.RLock()
	defer inits.births.RUnlock()
	args := append(t.global(), "create", "--bundle", t.dir, "--pid-file", filepath.Join(t.dir, "pid"), t.id)
	err = t.c.run(ctx, t.binary, call{args: args, output: theirs, target: t.target, where: func(f func() error) error {
		return t.c.node.aside(t.room(), t.single, t.whole, f)
	}})
	if errors.Is(err, errAside) {
		err = t.c.run(ctx, t.binary, call{args: args, output: theirs, target: t.target})
	}
	theirs.Close()
	if err != nil {
		return err
	}
	return t.c.node.do(t.pin)
}

// pin pins the twin's init. As long as it is not reaped, which only we can do, its pid is
// nobody else's.
func (t *twin) pin() error {
	b, err := readFile(filepath.Join(t.dir, "pid"))
	if err != nil {
		return fmt.Errorf("read the twin's pid: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return fmt.Errorf("read the twin's pid: %w", err)
	}
	if t.init, err = nsenter.Pin(pid); err != nil {
		return err
	}
	adopt(pid)
	return nil
}

// reap collects the init, which has ended.
func (t *twin) reap() (unix.WaitStatus, error) {
	status, err := t.c.reap(t.init.Pid())
	t.ended = true
	disown(t.init.Pid())
	return status, err
}

func (t *twin) global() []string {
	args := []string{"--root", filepath.Join(t.dir, "runc")}
	if t.systemd {
		args = append(args, "--systemd-cgroup")
	}
	return args
}

// start lets the command be executed, and returns what to close once it has ended.
//
// runc's init waits until somebody opens a fifo to read, and that is all that `runc
// start` has to do here. To do it ourselves saves a third of the time of a check,
// as a runtime takes longer to start than to work.
func (t *twin) start(ctx context.Context) (*os.File, error) {
	var fifo *os.File
	err := t.c.node.do(func() (err error) {
		state := filepath.Join(t.dir, "runc", t.id)
		if b, err := readFile(filepath.Join(state, "state.json")); err != nil || !strings.Contains(string(b), `"init_process_pid"`) {
			return errExit // another runtime, which has ways of its own
		}
		// For both, so that there is a reader whoever comes first. The init writes a
		// byte, which nobody needs to read.
		fifo, err = os.OpenFile(filepath.Join(state, "exec.fifo"), os.O_RDWR|unix.O_NONBLOCK, 0)
		return err
	})
	if err == nil {
		return fifo, nil
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return null, t.c.run(ctx, t.binary, call{args: append(t.global(), "start", t.id), output: null, target: t.target})
}

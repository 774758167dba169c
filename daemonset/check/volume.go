package check

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// layer is an overlay that a twin needs: over lower, with folders of the twin's own.
type layer struct {
	lower   string
	name    string // of the twin's folder for it
	like    source // its upper directory's owner and mode stand for the lower's
	ours    bool   // this process mounts it, not the runtime
	shifted bool   // what it is over is lower with its ids mapped, as the target has it
}

// source is what is known of a volume's source on the node.
type source struct {
	real     string // its path without links
	dir      bool
	mode     uint32
	uid, gid uint32
}

// The layer's folders below the twin's: mapped is lower with its ids mapped, merged the
// overlay itself where it is ours.
func (l layer) upper(dir string) string  { return filepath.Join(dir, l.name, "upper") }
func (l layer) work(dir string) string   { return filepath.Join(dir, l.name, "work") }
func (l layer) mapped(dir string) string { return filepath.Join(dir, l.name, "mapped") }
func (l layer) merged(dir string) string { return filepath.Join(dir, l.name, "merged") }

// options are the overlay's mount options. "volatile": nothing of it is worth a sync.
func (l layer) options(dir string) []string {
	lower := l.lower
	if l.shifted {
		lower = l.mapped(dir)
	}
	return []string{"lowerdir=" + escape(lower), "upperdir=" + l.upper(dir), "workdir=" + l.work(dir), "volatile"}
}

// escape is for overlay's own list of lower directories, and its list of options.
func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, ":", `\:`, ",", `\,`).Replace(path)
}

// volumes makes a twin's mounts of a target's.
type volumes struct {
	dir    string                       // the twin's
	users  bool                         // the pod has a user namespace of its own
	look   func(string) (source, error) // says what a source is
	points []mountPoint                 // the node's
	theirs []mountPoint                 // the target's
	files  []string                     // what the trial writes
}

// twin edits the target's mounts so that the twin writes into none of them.
//
//   - A writable directory becomes an overlay over it, which the runtime mounts: a
//     dead filesystem hangs the runtime, and that can be killed.
//   - In a pod with a user namespace it becomes a bind mount of an overlay that we
//     mount: the runtime mounts as root of that namespace, which may not, and
//     the ids of an overlay cannot be shifted as those of its layers can.
//   - Where the trial writes into a directory that is mounted twice, all its mounts are bind mounts
//     of one overlay that we mount: see doubles.
//   - A file becomes read-only. To put another over it would make its mount
//     point, an empty file, in the live volume.
//   - What the target's mount denies (set-user-id programs, devices, execution) is denied in the
//     twin: with most runtimes a bind mount has it from the volume's own mount, and no overlay has.
//   - All else stays as it is: what is read-only already, and what is new with
//     each container.
func (v volumes) twin(mounts []specs.Mount) (twin []specs.Mount, layers []layer, err error) {
	doubles, err := v.doubles(mounts)
	if err != nil {
		return nil, nil, err
	}
	one := make(map[place]layer)
	for i, m := range mounts {
		m.Options = private(m.Options)
		at, double := doubles[i]
		if !bound(m) || readOnly(m) && !double {
			twin = append(twin, m)
			continue
		}
		from, err := v.look(m.Source)
		switch {
		case err != nil:
			return nil, nil, fmt.Errorf("look at the volume at %s: %w", m.Destination, err)
		case !from.dir:
			m.Options = append(without(m.Options, "rw"), append(v.denies(m.Destination, from.real), "ro")...)
		default:
			l, made := one[at]
			if !made {
				l = layer{lower: m.Source, name: fmt.Sprintf("volume-%d", len(layers)), like: from, ours: v.users || double, shifted: shifted(m)}
				layers = append(layers, l)
			}
			if double {
				one[at] = l
			}
			if m, err = v.overlay(m, l); err != nil {
				return nil, nil, err
			}
			m.Options = append(m.Options, v.denies(m.Destination, from.real)...)
		}
		twin = append(twin, m)
	}
	return twin, layers, nil
}

// denies is what the target's mount at the destination denies; where that goes by another name there,
// through a link, what the source's denies.
func (v volumes) denies(destination, source string) []string {
	for _, p := range slices.Backward(v.theirs) {
		if p.path == filepath.Clean(destination) {
			return slices.Clip(p.denies)
		}
	}
	return slices.Clip(mountOf(v.points, source).denies)
}

// local are the filesystems that answer without another's help, so that this process
// may mount something over them.
var local = []string{"tmpfs", "overlay", "ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "bcachefs"}

func (v volumes) overlay(m specs.Mount, l layer) (specs.Mount, error) {
	if i := slices.IndexFunc(v.points, func(p mountPoint) bool { return below(p.path, l.like.real) }); i >= 0 {
		return m, fmt.Errorf("%w: the volume at %s has another filesystem in it, at %s on the node, which no overlay shows",
			ErrUnsupported, m.Destination, v.points[i].path)
	}
	if !l.ours {
		m.Type, m.Source = "overlay", "overlay"
		m.Options = append(without(m.Options, "bind", "rbind", "rw", "rrw", "ro", "rro"), l.options(v.dir)...)
		return m, nil
	}
	if kind := mountOf(v.points, l.like.real).kind; !slices.Contains(local, kind) {
		why := "in a pod with a user namespace (hostUsers: false)"
		if !v.users {
			why = "and mounted twice"
		}
		return m, fmt.Errorf("%w: the volume at %s is a filesystem of kind %q, %s", ErrUnsupported, m.Destination, kind, why)
	}
	if l.shifted != shifted(m) {
		return m, fmt.Errorf("%w: the volume at %s is mounted twice, once with its ids mapped and once without", ErrUnsupported, m.Destination)
	}
	m.Source, m.UIDMappings, m.GIDMappings = l.merged(v.dir), nil, nil
	m.Options = without(m.Options, "idmap", "ridmap")
	return m, nil
}

// shifted says whether a volume is mounted with its ids mapped as the pod's user namespace
// has them.
func shifted(m specs.Mount) bool {
	return len(m.UIDMappings)+len(m.GIDMappings) > 0 || slices.Contains(m.Options, "idmap") || slices.Contains(m.Options, "ridmap")
}

func bound(m specs.Mount) bool {
	return m.Type == "bind" || slices.Contains(m.Options, "bind") || slices.Contains(m.Options, "rbind")
}

// private keeps what the twin mounts from the node, and from the target.
func private(options []string) []string {
	options = slices.Clone(options)
	for i, o := range options {
		switch o {
		case "shared", "slave":
			options[i] = "private"
		case "rshared", "rslave":
			options[i] = "rprivate"
		}
	}
	return options
}

func without(options []string, names ...string) []string {
	return slices.DeleteFunc(slices.Clone(options), func(o string) bool { return slices.Contains(names, o) })
}

// readOnly goes by the last of the options, which holds.
func readOnly(m specs.Mount) bool {
	for _, o := range slices.Backward(m.Options) {
		switch o {
		case "ro", "rro":
			return true
		case "rw", "rrw":
			return false
		}
	}
	return false
}

// below says whether a path is below the directory.
func below(path, dir string) bool {
	return strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

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
	lower string
	name  string // of the twin's folder for it
	like  source // its upper directory's owner and mode stand for the lower's
}

// source is what is known of a volume's source on the node.
type source struct {
	real     string // its path without links
	dir      bool
	mode     uint32
	uid, gid uint32
}

// upper and work are the layer's folders below the twin's.
func (l layer) upper(dir string) string { return filepath.Join(dir, l.name, "upper") }
func (l layer) work(dir string) string  { return filepath.Join(dir, l.name, "work") }

// options are the overlay's mount options. "volatile": nothing of it is worth a sync.
func (l layer) options(dir string) []string {
	return []string{"lowerdir=" + escape(l.lower), "upperdir=" + l.upper(dir), "workdir=" + l.work(dir), "volatile"}
}

// escape is for overlay's own list of lower directories, and its list of options.
func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, ":", `\:`, ",", `\,`).Replace(path)
}

// twinMounts edits the target's mounts so that the twin writes into none of them.
//
//   - A writable directory becomes an overlay over it, which the runtime mounts: a
//     dead filesystem hangs the runtime, and that can be killed.
//   - A file becomes read-only. To put another over it would make its mount
//     point, an empty file, in the live volume.
//   - All else stays as it is: what is read-only already, and what is new with
//     each container.
//
// look says what a source is, points are the node's mount points.
func twinMounts(mounts []specs.Mount, dir string, look func(string) (source, error), points []string) ([]specs.Mount, []layer, error) {
	var twin []specs.Mount
	var layers []layer
	for _, m := range mounts {
		m.Options = private(m.Options)
		if !bound(m) || readOnly(m) {
			twin = append(twin, m)
			continue
		}
		if len(m.UIDMappings)+len(m.GIDMappings) > 0 || slices.Contains(m.Options, "idmap") || slices.Contains(m.Options, "ridmap") {
			return nil, nil, fmt.Errorf("%w: the volume at %s is mounted with shifted ids", ErrUnsupported, m.Destination)
		}
		from, err := look(m.Source)
		if err != nil {
			return nil, nil, fmt.Errorf("look at the volume at %s: %w", m.Destination, err)
		}
		if !from.dir {
			m.Options = append(without(m.Options, "rw"), "ro")
			twin = append(twin, m)
			continue
		}
		if i := slices.IndexFunc(points, func(p string) bool { return below(p, from.real) }); i >= 0 {
			return nil, nil, fmt.Errorf("%w: the volume at %s has another filesystem in it, at %s on the node, which no overlay shows",
				ErrUnsupported, m.Destination, points[i])
		}
		l := layer{lower: m.Source, name: fmt.Sprintf("volume-%d", len(layers)), like: from}
		layers = append(layers, l)
		m.Type, m.Source = "overlay", "overlay"
		m.Options = append(without(m.Options, "bind", "rbind", "rw"), l.options(dir)...)
		twin = append(twin, m)
	}
	return twin, layers, nil
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

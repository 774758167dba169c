package shim

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Bounds of a walk: how many links one name may lead through, as for the kernel
// (path_resolution(7)), and how many directories and links in all, each of which is a handle.
const (
	maxLinks = 40
	maxSteps = 512
)

// step is a directory that a walk has come to.
type step struct {
	fd int
	unix.Statx_t
}

// walk opens what a name leads to, as openat2 with [resolve] does, and says whose the links on
// the way are, without those of the container's root. It is for names that lead through links
// alone: it goes step by step from handle to handle, and .. goes back to the one before.
func (w *work) walk(name string) (fd int, links []linkOwner, err error) {
	var opened []int
	defer func() {
		for _, other := range opened {
			if other != fd {
				unix.Close(other)
			}
		}
	}()
	open := func(dir int, part string) (at step, err error) {
		if len(opened) == maxSteps {
			return at, refusal("it leads through more than 512 directories and links")
		}
		if at.fd, err = openat2(dir, part, unix.O_PATH|unix.O_NOFOLLOW, unix.RESOLVE_BENEATH); err != nil {
			return at, err
		}
		opened = append(opened, at.fd)
		at.Statx_t, err = statx(at.fd)
		return at, err
	}
	root, err := open(w.root.Dir, ".")
	if err != nil {
		return -1, nil, err
	}
	way := []step{root}
	followed := 0
	for rest := name; rest != ""; {
		part, after, more := strings.Cut(rest, "/")
		rest = after
		at := way[len(way)-1]
		switch part {
		case "", ".":
			continue
		case "..":
			way = way[:max(1, len(way)-1)]
			at = way[len(way)-1]
		default:
			in := at
			if at, err = open(in.fd, part); err != nil {
				return -1, nil, err
			}
			if at.Mode&unix.S_IFMT == unix.S_IFLNK {
				if followed++; followed > maxLinks {
					return -1, nil, unix.ELOOP
				}
				if rest, err = readlink(at.fd); err != nil {
					return -1, nil, err
				}
				if !w.isRoot(at.Uid) {
					links = append(links, ownerOf(at, in))
				}
				if strings.HasPrefix(rest, "/") {
					way = way[:1]
				}
				if more {
					rest += "/" + after
				}
				if len(rest) > 2*MaxPath {
					return -1, nil, unix.ENAMETOOLONG
				}
				continue
			}
			way = append(way, at)
		}
		switch isDir := at.Mode&unix.S_IFMT == unix.S_IFDIR; {
		case !isDir && more:
			return -1, nil, unix.ENOTDIR
		case isDir:
			if err := w.mayPass(links, at); err != nil {
				return -1, nil, err
			}
		}
	}
	return w.keep(way[len(way)-1].fd), links, nil
}

// readlink reads where the link leads. The links of procfs may lead anywhere, whatever they say, and those
// of a mount without links (nosymfollow, mount(8)) nowhere.
func readlink(fd int) (string, error) {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return "", err
	}
	if uint32(fs.Type) == unix.PROC_SUPER_MAGIC || fs.Flags&stNoSymFollow != 0 {
		return "", unix.ELOOP
	}
	buf := make([]byte, MaxPath)
	n, err := unix.Readlinkat(fd, "", buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

const stNoSymFollow = 0x2000 // ST_NOSYMFOLLOW of linux/statfs.h

// linkOwner is whose a link is, as the node numbers them.
type linkOwner struct {
	uid, gid uint32
	member   bool // of the group: else it is the directory's, which a new link has from there
}

func ownerOf(link, in step) linkOwner {
	return linkOwner{link.Uid, link.Gid, in.Mode&unix.S_ISGID == 0}
}

// may answers whether the owner of a link has one of the rights (of 7) to what is there. Access control
// lists do not count.
func (l linkOwner) may(right uint16, to unix.Statx_t) bool {
	switch {
	case l.uid == to.Uid:
		return to.Mode>>6&right != 0
	case l.member && l.gid == to.Gid:
		return to.Mode>>3&right != 0
	}
	return to.Mode&right != 0
}

// isRoot says whether a user is the container's root, or the node's, whom nobody inside can be
// and who trusts the container with what is theirs.
func (w *work) isRoot(uid uint32) bool {
	root, _ := outside(w.req.UIDMap, 0)
	return uid == 0 || uid == root
}

// mayPass refuses a directory on the way behind somebody's link that they may not enter: whoever puts a
// link in the way to a destination has us do there what they could do themselves, and no more.
func (w *work) mayPass(links []linkOwner, dir step) error {
	for _, l := range links {
		if !l.may(1, dir.Statx_t) {
			return w.foreign(l, "a directory that they may not enter")
		}
	}
	return nil
}

// mayMake refuses a directory to which somebody's link has led and in which they may not make files.
func (w *work) mayMake(dir int) error {
	links := w.links[dir]
	if len(links) == 0 {
		return nil
	}
	st, err := statx(dir)
	if err != nil {
		return err
	}
	sticky := st.Mode&unix.S_ISVTX != 0 // others' files are not theirs to replace
	for _, l := range links {
		if l.uid != st.Uid && (sticky || !l.may(2, st)) {
			return w.foreign(l, "a directory that they may not write to")
		}
	}
	return nil
}

// mayRead refuses a file that is not theirs to whom a link to it belongs.
func (w *work) mayRead(links []linkOwner, file unix.Statx_t) error {
	for _, l := range links {
		if l.uid != file.Uid {
			return w.foreign(l, "a file that is not theirs")
		}
	}
	return nil
}

func (w *work) foreign(link linkOwner, what string) error {
	user, known := inside(w.req.UIDMap, link.uid)
	name := "user " + strconv.Itoa(int(user))
	if !known {
		name += " of the node"
	}
	return refusal("a link on the way to it belongs to " + name + " and leads to " + what + "; remove it, or let it belong to root")
}

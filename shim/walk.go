package shim

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks is how many links one name may lead through, as for the kernel
// (path_resolution(7)).
const maxLinks = 40

// linkOwner is whose a link is, as the node numbers them.
type linkOwner struct{ uid, gid uint32 }

// walk opens what a name leads to, as openat2 with [resolve] does, and says whose the links on
// the way are, without those of the container's root. It is for names that lead through links
// alone: it goes step by step from handle to handle, and .. goes back to the one before.
func (w *work) walk(name string) (fd int, links []linkOwner, err error) {
	way := []int{w.root.Dir}
	followed := 0
	for rest := name; rest != ""; {
		part, after, more := strings.Cut(rest, "/")
		rest = after
		switch part {
		case "", ".":
			continue
		case "..":
			way = way[:max(1, len(way)-1)]
			continue
		}
		fd, err := openat2(way[len(way)-1], part, unix.O_PATH|unix.O_NOFOLLOW, unix.RESOLVE_BENEATH)
		if err != nil {
			return -1, nil, err
		}
		w.keep(fd)
		st, err := statx(fd)
		if err != nil {
			return -1, nil, err
		}
		switch kind := st.Mode & unix.S_IFMT; {
		case kind != unix.S_IFLNK && kind != unix.S_IFDIR && more:
			return -1, nil, unix.ENOTDIR
		case kind != unix.S_IFLNK:
			way = append(way, fd)
			continue
		}
		if followed++; followed > maxLinks {
			return -1, nil, unix.ELOOP
		}
		if rest, err = readlink(fd); err != nil {
			return -1, nil, err
		}
		if !w.isRoot(st.Uid) {
			links = append(links, linkOwner{st.Uid, st.Gid})
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
	}
	return way[len(way)-1], links, nil
}

// readlink reads where the link leads. The links of procfs may lead anywhere, whatever they say.
func readlink(fd int) (string, error) {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return "", err
	}
	if uint32(fs.Type) == unix.PROC_SUPER_MAGIC {
		return "", unix.ELOOP
	}
	buf := make([]byte, MaxPath)
	n, err := unix.Readlinkat(fd, "", buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// isRoot says whether a user is the container's root, or the node's, whom nobody inside can be
// and who trusts the container with what is theirs.
func (w *work) isRoot(uid uint32) bool {
	root, _ := outside(w.req.UIDMap, 0)
	return uid == 0 || uid == root
}

// mayWrite refuses a directory that the owner of a link to it may not make files in: whoever puts
// a link in the way to a destination has us do there what they could do themselves, and no more.
// Access control lists do not count.
func (w *work) mayWrite(links []linkOwner, dir unix.Statx_t) error {
	shared := dir.Mode
	if shared&unix.S_ISVTX != 0 {
		shared = 0
	}
	for _, l := range links {
		if l.uid != dir.Uid && shared&unix.S_IWOTH == 0 && (shared&unix.S_IWGRP == 0 || l.gid != dir.Gid) {
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

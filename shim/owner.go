package shim

import (
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// outside is what the node calls an id of the container's.
func outside(ids []IDMap, id uint32) (uint32, bool) {
	for _, r := range ids {
		if id >= r.Inside && id-r.Inside < r.Size {
			return r.Outside + (id - r.Inside), true
		}
	}
	return id, len(ids) == 0
}

// inside is what the container calls an id of the node's.
func inside(ids []IDMap, id uint32) (uint32, bool) {
	for _, r := range ids {
		if id >= r.Outside && id-r.Outside < r.Size {
			return r.Inside + (id - r.Outside), true
		}
	}
	return id, len(ids) == 0
}

// owner is what the node calls an owner in the container.
func (w *work) owner(a Attributes) (uid, gid int, err error) {
	user, ok := outside(w.req.UIDMap, a.UID)
	if !ok {
		return -1, -1, refusal("user " + strconv.Itoa(int(a.UID)) + " does not exist in the container's user namespace; choose another owner")
	}
	group, ok := outside(w.req.GIDMap, a.GID)
	if !ok {
		return -1, -1, refusal("group " + strconv.Itoa(int(a.GID)) + " does not exist in the container's user namespace; choose another owner")
	}
	return int(user), int(group), nil
}

// numbered has a file's attributes as the container numbers them.
func (w *work) numbered(mode, uid, gid uint32) (Attributes, error) {
	user, known := inside(w.req.UIDMap, uid)
	group, knownToo := inside(w.req.GIDMap, gid)
	if !known || !knownToo {
		return Attributes{}, refusal("it belongs to user " + strconv.Itoa(int(uid)) + ", group " + strconv.Itoa(int(gid)) +
			" as the node sees it, whom the container's user namespace does not have; remove it, or give it an owner that the container has")
	}
	return Attributes{mode & 0o7777, user, group}, nil
}

// become makes the calling thread create files as one whom the container's user
// namespace has: a filesystem that belongs to it, or a mount whose ids are
// mapped for it, stores no other (EOVERFLOW). That takes the effective
// capabilities over files from the thread, capabilities(7), which it needs as
// before and has permitted still. There is no way back for the thread; the shim
// ends with the request.
func (w *work) become() error {
	if len(w.req.UIDMap) == 0 && len(w.req.GIDMap) == 0 {
		return nil
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return err
	}
	// The group first, as for setuid(2). Neither call reports an error.
	if len(w.req.GIDMap) > 0 {
		gid := int(w.req.GIDMap[0].Outside)
		unix.Setfsgid(gid)
		if is, _ := unix.SetfsgidRetGid(-1); is != gid {
			return errSetID
		}
	}
	if len(w.req.UIDMap) > 0 {
		w.fsuid = w.req.UIDMap[0].Outside
		unix.Setfsuid(int(w.fsuid))
		if is, _ := unix.SetfsuidRetUid(-1); is != int(w.fsuid) {
			return errSetID
		}
	}
	err := unix.Capset(&header, &sets[0])
	runtime.KeepAlive(&sets)
	return err
}

const errSetID = refusal("the agent needs CAP_SETUID and CAP_SETGID")

package shim

// Op is what a request wants done.
type Op byte

// The operations.
const (
	Apply   Op = 1 // write what differs, then signal
	Compare Op = 2 // say what Apply would change, change nothing
	Read    Op = 3 // return the contents as they are, change nothing
	Exists  Op = 4 // say which of the paths exist, change nothing
	Fetch   Op = 5 // return the contents of files that are never to be replaced, change nothing
)

// Limits of a request and of a result.
const (
	MaxSize  = 64 << 20 // encoded, in bytes
	MaxFiles = 1024
	MaxPath  = 4096
	MaxMap   = 340 // ranges of one map: user_namespaces(7)
)

// Request is one piece of work inside a container.
type Request struct {
	Op    Op
	Files []File

	// UIDMap and GIDMap are those of the container's user namespace. Every owner
	// in a request and a result is as the container numbers it; the maps lead
	// to what the node calls it. Both empty: the two number alike.
	UIDMap, GIDMap []IDMap

	// UID and GID own new files and directories whose File sets no owner.
	UID, GID uint32

	// Signal is sent once all files are in place, if any has changed. 0: none.
	Signal int

	// Limit is how many bytes a file may have that Fetch returns.
	Limit uint32

	// Always sends the signal although no file has changed: a reload is owed.
	Always bool
}

// IDMap is one range of a user namespace's map.
type IDMap struct {
	Inside, Outside, Size uint32
}

// File is one file of a request. For Read, Exists and Fetch only the path counts.
// Those of Exists and Fetch may be links, mount points, the same one twice.
type File struct {
	Path   string // absolute, as the container sees it
	Data   []byte
	Absent bool // there shall be no such file; of the rest only the path counts

	// Mode (permission bits), UID and GID are as the container numbers them. Nil
	// means: the existing file's (its mode without set-id bits), else 0644 and
	// the request's owner.
	Mode, UID, GID *uint32

	Mkdir bool // make missing parent directories, mode 0755, the request's owner
}

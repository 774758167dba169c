package facts

import (
	"bytes"
	"fmt"
	"strconv"
)

// User is the number of a user, as the container numbers them. A number is that number; a name
// is looked up in the container's /etc/passwd.
func (f *Facts) User(name string) (uint32, error) {
	return f.owner("user", name, passwdPath, maxPasswd)
}

// Group is the number of a group, by the container's /etc/group.
func (f *Facts) Group(name string) (uint32, error) {
	return f.owner("group", name, groupPath, maxGroup)
}

func (f *Facts) owner(kind, name, path string, limit uint32) (uint32, error) {
	if id, err := strconv.ParseUint(name, 10, 32); err == nil {
		return number(kind, name, id)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	table, err := f.file(path, limit)
	if err != nil {
		return 0, fmt.Errorf("look up %s %q: %w", kind, name, err)
	}
	id, ok := findOwner(table, name)
	if !ok {
		return 0, fmt.Errorf("%s %q is %w %s: its %s has no such line; name one that it has, or use the number",
			kind, name, ErrUnknown, f.container, path)
	}
	return number(kind, name, uint64(id))
}

// number refuses the one number that means "leave it as it is": chown(2).
func number(kind, name string, id uint64) (uint32, error) {
	if id == 1<<32-1 {
		return 0, fmt.Errorf("%s %q: %d is nobody's number", kind, name, id)
	}
	return uint32(id), nil
}

// findOwner looks a name up in a file like passwd(5) or group(5), where the number is the third
// field. The first line of a name counts; one that makes no sense is none.
func findOwner(table []byte, name string) (uint32, bool) {
	for line := range bytes.Lines(table) {
		fields := bytes.SplitN(bytes.TrimSpace(line), []byte(":"), 4)
		if len(fields) != 4 || string(fields[0]) != name || name == "" {
			continue
		}
		if id, err := strconv.ParseUint(string(fields[2]), 10, 32); err == nil {
			return uint32(id), true
		}
	}
	return 0, false
}

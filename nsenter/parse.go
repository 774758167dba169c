package nsenter

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// stat is what is used of /proc/PID/stat: proc_pid_stat(5).
type stat struct {
	comm    string
	state   byte
	ppid    int
	session int
	exiting bool
	start   uint64
}

// parseStat looks for the last ")", since the name before it may hold anything,
// ") Z 1 1" for one.
func parseStat(b []byte) (stat, error) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open {
		return stat{}, errors.New("stat: no name in it")
	}
	var fields [20][]byte // field 3, the state, is the first
	n := 0
	for field := range bytes.FieldsSeq(b[end+1:]) {
		if fields[n] = field; n == len(fields)-1 {
			break
		}
		n++
	}
	if n < len(fields)-1 || len(fields[0]) != 1 {
		return stat{}, fmt.Errorf("stat: only %d fields", n)
	}
	ppid, err := strconv.Atoi(string(fields[1]))
	if err != nil {
		return stat{}, fmt.Errorf("stat: parent: %w", err)
	}
	session, err := strconv.Atoi(string(fields[3]))
	if err != nil {
		return stat{}, fmt.Errorf("stat: session: %w", err)
	}
	flags, err := strconv.ParseUint(string(fields[6]), 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("stat: flags: %w", err)
	}
	start, err := strconv.ParseUint(string(fields[19]), 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("stat: start time: %w", err)
	}
	const exiting = 0x4 // PF_EXITING
	return stat{comm: string(b[open+1 : end]), state: fields[0][0], ppid: ppid, session: session, exiting: flags&exiting != 0, start: start}, nil
}

// status is what is used of /proc/PID/status: proc_pid_status(5).
type status struct {
	nspid  int
	sigCgt uint64
	uid    uint32
}

func parseStatus(b []byte) (status, error) {
	var st status
	var seen int
	for line := range bytes.Lines(b) {
		key, value, _ := bytes.Cut(line, []byte(":"))
		var err error
		switch string(key) {
		case "NSpid": // from the reader's namespace inwards
			value = bytes.TrimSpace(value)
			st.nspid, err = strconv.Atoi(string(value[bytes.LastIndexByte(value, '\t')+1:]))
		case "SigCgt":
			st.sigCgt, err = strconv.ParseUint(string(bytes.TrimSpace(value)), 16, 64)
		case "Uid": // real, effective, saved, filesystem
			_, effective, _ := bytes.Cut(bytes.TrimSpace(value), []byte("\t"))
			effective, _, _ = bytes.Cut(effective, []byte("\t"))
			var uid uint64
			uid, err = strconv.ParseUint(string(effective), 10, 32)
			st.uid = uint32(uid)
		default:
			continue
		}
		if err != nil {
			return status{}, fmt.Errorf("status: %s: %w", key, err)
		}
		seen++
	}
	if seen != 3 {
		return status{}, errors.New("status: NSpid, SigCgt or Uid is not in it")
	}
	return st, nil
}

// parsePids reads a list of pids with spaces between them.
func parsePids(b []byte) ([]int, error) {
	var pids []int
	for field := range bytes.FieldsSeq(b) {
		pid, err := strconv.Atoi(string(field))
		if err != nil || pid <= 0 {
			return nil, fmt.Errorf("children: %q is not a pid", field)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// parseNamespace takes the inode number out of "mnt:[4026531841]". 0: none.
func parseNamespace(link string) uint64 {
	_, rest, _ := strings.Cut(link, ":[")
	n, err := strconv.ParseUint(strings.TrimSuffix(rest, "]"), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// parseCapEff takes the effective capabilities out of /proc/PID/status.
func parseCapEff(b []byte) uint64 {
	_, rest, _ := strings.Cut(string(b), "\nCapEff:")
	value, _, _ := strings.Cut(rest, "\n")
	caps, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
	if err != nil {
		return 0
	}
	return caps
}

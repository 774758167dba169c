package verify

import "strings"

// failed reports whether a master that executes itself says that its last reload
// failed. It is a hint, by which a reload that was asked for before ours is not
// taken for it: that one brings forth a new worker though ours failed.
func (p Preset) failed(pid int) (bool, error) {
	if p.Processes == "" {
		return false, nil
	}
	env, err := readWords(pid, "environ")
	if err != nil {
		return false, err
	}
	failed, waits := false, false
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		switch name {
		case p.Processes:
			failed = parseFailed(value)
		case p.Waits:
			waits = true
		}
	}
	return failed && waits, nil
}

// parseFailed reads haproxy's list of processes (src/mworker.c,
// mworker_proc_list_to_env): each begins with "|" and has fields with ";" behind
// them; that of the master is type=m, and failedreloads counts since the last
// success. haproxy has it from 2.5 on. From 3.1 on it executes itself before it reads the
// configuration, and not after: what it hands on is of the reload before.
func parseFailed(processes string) bool {
	for process := range strings.SplitSeq(processes, "|") {
		master, failed := false, false
		for field := range strings.SplitSeq(process, ";") {
			count, ok := strings.CutPrefix(field, "failedreloads=")
			failed = failed || ok && count != "0"
			master = master || field == "type=m"
		}
		if master {
			return failed
		}
	}
	return false
}

// Package exec runs one command inside a container as the container itself would: as its
// user, with its capabilities, environment, directory, limits and security labels, in its
// namespaces and its cgroup. It is what a template's reload_cmd is run by.
//
// A [Command] goes in, a [Result] or an error that says what went wrong comes out. It is
// containerd's Task.Exec, so that the container's own runtime applies what its OCI spec
// says. Standard input is empty; what the command says comes out through a FIFO, of
// which the first and the last are kept, and is written nowhere else. A command has a
// time limit, at which all of it is killed: the process, its descendants, and who is left in
// its session. Who left that on purpose, as a daemon does, is the container's, and so is
// whatever a command leaves behind when it ends by itself.
//
// Each container has one name for such a process, "podreload-reload". containerd lists no
// processes that have ended, so what a crashed agent has left is found by that name, and
// ended and deleted before the next command runs. That is why one command at a time runs in
// a container: a [Client] sees to it within itself, and between processes the lock does
// that they hold on a target.
//
// What it does not do: it does not decide what a command is (daemonset.SplitCommand
// takes a line apart), whether it may be run, or what its failure means for the files. It does not
// signal servers, and owns no connection: it uses that of package pods.
//
// Goroutines: one for each Run under way, which reads the output; it ends with it.
package exec

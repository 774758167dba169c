// Package verify answers questions about the server in a container: which
// process is it ([Preset.Find]), did it take a reload ([Preset.Before],
// [Proof.Wait]), how many old workers still drain ([Preset.Census]), and with
// what command would it try a configuration ([Preset.CheckCommand]). All are
// answered from the node's own /proc; the container's /proc, its pid files and
// its logs are never read, because the container writes them.
//
// What a process is goes by structure: its executable, its cgroup, its parent
// and its start time, what sockets and pipes it has open, all of which the
// kernel keeps. Process titles, arguments and environments are the container's
// to write. They serve as hints only, where a lie harms nobody but the liar: to
// tell nginx's workers from its cache helpers, and a worker that drains from one
// that serves; that haproxy's last reload failed; and which configuration a
// check is to read.
//
// A server is described by a [Preset], which is plain data: another server is
// added as a value in presets.go, or by a profile's matcher ([Match]). It has to
// fit the shape that nginx, haproxy and apache share: one master that stays, and
// children of the same executable that a reload replaces; or else all that is
// proved is that the process has taken the signal and lives on.
//
// What a proof does not show: that a reload which somebody else asked for in the
// same moments was not the one that read our files. Either has read them, then,
// but for apache, which forgets a signal that comes while it reads its
// configuration; it has no workers at that time, and is not signalled.
//
// What the package does not do: it sends no signal and writes no file (package
// shim does, inside), it runs no check (package check does), and it decides
// nothing about what happens when a reload did not take (package agent does).
//
// The package starts no goroutines. A [Proof] holds a pidfd for each child of
// the master that it has seen; Close releases them.
package verify

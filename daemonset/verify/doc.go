// Package verify answers two questions about the server in a container: which
// process is it ([Preset.Find]), and did it take a reload ([Preset.Before],
// [Proof.Wait]). Both are answered from the node's own /proc; the container's
// /proc, its pid files and its logs are never read, because the container
// writes them.
//
// What a process is goes by structure: its executable, its cgroup, its parent
// and its start time, all of which the kernel keeps. Process titles are the
// container's to write. They serve as hints only, where a lie harms nobody
// but the liar: to tell nginx's workers from its cache helpers, and a worker
// that drains from one that serves.
//
// A server is described by a [Preset], which is plain data: another server is
// added as a value in presets.go. It has to fit the shape that nginx, haproxy
// and apache share: one master that stays, and children of the same executable
// that a reload replaces.
//
// What the package does not do: it sends no signal and writes no file (package
// shim does, inside), and it decides nothing about what happens when a reload
// did not take (package agent does).
//
// The package starts no goroutines. A [Proof] holds a pidfd for each child of
// the master that it has seen; Close releases them.
package verify

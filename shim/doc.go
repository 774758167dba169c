// Package shim is what is done inside a container: write files, send one
// signal, say what was done. A [Request] goes in and a [Result] comes out, both
// as bytes; [Run] does the work below one directory handle, the container's
// root, so that it can be tested on any directory.
//
// All files are staged, then all are renamed into place (or removed), then one
// signal is sent; nothing that is staged is visible before. When a rename fails,
// those before it are taken back. Shims that share a directory take turns in it. Every name is resolved by the
// kernel below the root handle, and everything after that is relative to
// handles, so a container that swaps its directories for links meanwhile harms
// nobody but itself.
//
// What it does not do: it enters nothing and starts nothing (package
// nsenter/inside does), decides nothing about contents, and never logs. It uses
// the standard library and x/sys alone, no reflection, and no goroutines: it is
// linked into the small binary that crosses.
package shim

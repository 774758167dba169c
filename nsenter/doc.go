// Package nsenter is the crossing from the node into a container. It pins a
// process, so that it cannot be mistaken for a successor ([Pin]); reads what the
// node's own /proc says of it ([ReadInfo]); and carries bytes into its
// namespaces and back ([Shim.Cross]). Sockets are made in its network namespace
// without a crossing ([Process.InNetwork]): there is no file there to be led astray by.
//
// The crossing itself is made by a small static binary, the shim, which is
// sealed into a memfd once and started in the node's PID namespace, where no
// container sees it. What happens on its side is in package nsenter/inside.
//
// What it does not do: it does not know what the bytes mean (package shim
// does), which container is meant (package pods), or whether a process may be
// signalled (package verify). It never reads a container's /proc. It keeps no
// handle on a container between two crossings.
//
// Goroutines: InNetwork has one, and a thread with it, until it returns. A Shim owns one for each shim process until
// that is reaped, the spare and those that it had to give up on among them, and one while it starts a spare;
// [Shim.Close] waits for them for a moment. Nothing else of this package outlives the call that started it.
package nsenter

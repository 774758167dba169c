// Package source reads etcd v3 for the agent: snapshots that each stand at one
// revision, kept current by watches, and shared by everyone who asks for the
// same keys.
//
// [Open] a [Client], then either [Client.Read] once (manual commands) or
// [Client.Subscribe] and wait on [Subscription.Changed] (the agent). A
// subscription is level-triggered: Changed says that [Subscription.Current] may
// answer something new, never what, so a slow reader skips what was overtaken
// and always ends at the last state. [Snapshot.Since] tells which keys the events
// have changed between two snapshots, while that is remembered.
//
// Keys are confd's: absolute paths. A key means itself and all below it, so /a
// covers /a and /a/b but never /ab; "/" covers all that begins with a slash.
//
// How a feed stays true. It reads all its keys at one revision (one
// transaction, the pages that do not fit pinned to the same revision) and
// watches from the next one: one watch over all its keys, whose events it puts
// upon what it holds, or a watch for each range where that cannot be (see mode).
// A watch that breaks, a compaction that overtakes it, a lost leader or a
// restarted etcd end in a check of what is held, and in a full read where that
// failed. So does what [Client.Resume] begins with, a snapshot from the disk: after a
// restart of the agent only what has changed meanwhile is read. A restored backup keeps the cluster's id while its revision goes back,
// and a watch at a future revision is silent, so nothing on the wire betrays it:
// therefore behind every new watch stream, and from time to time, a feed compares
// what it holds with the newest keys that etcd has; behind a new stream it reads all
// instead where that is little (64 KiB). One thing a comparison of more does not show: a
// restored backup upon which all was written again in the same order, at as many revisions, but with
// another value in a key that is not the newest. The next change of that key, or a restart of
// the agent without what it kept, brings it. That a watch lives is asked
// of its stream twice a minute, which costs etcd nothing (see proof). Where no
// answer comes the comparison stands in for it, and finds out a watch that is
// dead and silent within a minute (or two hundred times what the comparison
// takes, see restFactor). All feeds share one stream.
//
// Who asks. Certificates, authorities and the password are files that may be
// renewed in place. A user needs to read what the keys mean and nothing else;
// ErrPermission names the grant that is missing.
//
// What is not here: what keys mean (package template), who needs which
// (package agent), and writing. Nothing here logs: a feed's trouble is the error
// of [Subscription.Current].
//
// Goroutines: one per feed (a distinct set of keys), owned by the Client, and
// one per watch that hands its events on, owned by the feed. A feed ends with
// its last subscription, all of them with [Client.Close], which waits for them.
// gRPC's and clientv3's own goroutines end with Close too.
package source

// Package state keeps what has to outlive the agent: the record of each target,
// which is also the journal of its applies, the contents of the files that lead
// back or forward from an apply that was cut off, and the locks that keep two
// applies out of one container; and beyond the node's boot what a person has paused, what
// was changed in each target and the way back to it, and what was last good.
//
// The first is below one directory on tmpfs, /run/podreload: it ends with the
// node's boot, as the containers that it tells of do.
//
//	daemon          locked by the daemon as long as it runs
//	locks/ID        locked during an apply to container ID, by the daemon or a command
//	targets/ID.json the record of container ID
//	files/ID/SHA256 the contents that this record refers to
//	contents/SHA256 the same, one link more for each: targets with equal files share them
//	secret, snapshots  as below, of what is sensitive
//
// The second is below another on disk, /var/lib/podreload. It is bounded in size and age
// ([Store.Trim]), and nothing in it is needed to go on.
//
//	daemon          locked as that above: one daemon keeps here
//	pauses.json     what is paused; synced
//	history/NAME    the last changes of a target, which is named by its pod and container; a line each
//	contents/SHA256 the files that histories lead back to
//	snapshots/NAME  what a profile's keys held when it was live last; synced
//
// Both are root's alone: who could write there could make the agent
// forget a reload that it owes. What a record or a snapshot means is the agent's; nothing
// here looks into it. The package has no
// goroutines; a lock belongs to who took it, and the kernel drops it when that
// process dies.
package state

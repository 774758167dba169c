// Package state keeps what has to outlive the agent: the record of each target,
// which is also the journal of its applies, the contents of the files that lead
// back or forward from an apply that was cut off, and the locks that keep two
// applies out of one container.
//
// All of it is below one directory on tmpfs, /run/podreload: it ends with the
// node's boot, as the containers that it tells of do.
//
//	daemon          locked by the daemon as long as it runs
//	locks/ID        locked during an apply to container ID, by the daemon or a command
//	targets/ID.json the record of container ID
//	files/ID/SHA256 the contents that this record refers to
//	contents/SHA256 the same, one link more for each: targets with equal files share them
//
// The directory is root's alone: who could write there could make the agent
// forget a reload that it owes. What a record means is the agent's; nothing
// here looks into it. The package has no
// goroutines; a lock belongs to who took it, and the kernel drops it when that
// process dies.
package state

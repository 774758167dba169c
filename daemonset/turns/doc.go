// Package turns bounds how much of one kind of work a node has under way at once, and shares
// that out fairly: who waits is in a group, best a profile, and the groups take turns. So one pod
// of a profile does not wait until the 250 of another are done. A turn does not last for ever, so
// that what hangs delays others for that long and no longer.
//
// What it does not do: it does not know what the work is, and ends none.
//
// Goroutines: none.
package turns

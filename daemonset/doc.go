// Package daemonset holds the words that podreload's node agent speaks: which
// container ([Container], [Pod]), which bytes ([File]), how it stands ([State],
// [Status]). They are plain values: no behaviour that touches the node, no
// goroutines, and no import of anything else of podreload, so that every
// package below this folder can pass them to every other. Beside them stands what
// several of those packages do alike with words alone: to take a command apart
// ([SplitCommand]), to make a container's text harmless ([CleanText]).
//
// What the words do not hold: how something is found (package pods), rendered
// (template), carried inside (nsenter, shim), proved (verify) or kept (state).
// The reconcile loop that wires those together is package agent.
package daemonset

// Podreload-shim is what podreload starts to cross into a container: it takes one
// request over descriptor 0, does it inside, answers and exits. It is of no use
// by hand. See packages nsenter/inside and shim.

// Without these Go's runtime keeps files of the node's cgroup open.
//
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0
package main

import (
	"github.com/podreload/podreload/nsenter/inside"
	"github.com/podreload/podreload/shim"
)

func main() {
	inside.Main(func(root, self int, request []byte, signal func(sig int) error) []byte {
		return shim.Serve(shim.Root{Dir: root, Self: self}, request, signal)
	})
}

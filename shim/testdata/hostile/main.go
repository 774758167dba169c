// Hostile is what a container runs that defends its files against podreload, by
// the means that its first argument names, until it is killed:
//
//	swap PATH TARGET...  exchange every component of PATH, all the time, for
//	                     links to the targets, and the file for a FIFO, a
//	                     device, a directory and a link, too
//	kill | stop          send every other process SIGKILL, or SIGSTOP
package main

import (
	"fmt"
	"os"
	"os/signal"
	"path"
	"strconv"

	"golang.org/x/sys/unix"
)

func main() {
	signal.Notify(make(chan os.Signal, 1), unix.SIGHUP) // and take no notice
	var attack func(i int)
	switch os.Args[1] {
	case "swap":
		attack = swap(os.Args[2], os.Args[3:])
	case "kill":
		attack = func(int) { unix.Kill(-1, unix.SIGKILL) }
	case "stop":
		attack = func(int) { unix.Kill(-1, unix.SIGSTOP) }
	}
	fmt.Println("ready")
	for i := 0; ; i++ {
		attack(i)
	}
}

// swap makes the path and all that its parts are exchanged for.
func swap(file string, targets []string) func(i int) {
	type exchange struct{ one, other string }
	var exchanges []exchange
	must(os.MkdirAll(path.Dir(file), 0o755))
	for dir := path.Dir(file); dir != "/"; dir = path.Dir(dir) {
		for i, target := range targets {
			// Beside the topmost part, so that it is there whatever is swapped.
			other := fmt.Sprintf("%s-%d", "/link"+strconv.Itoa(len(dir)), i)
			must(os.Symlink(target, other))
			exchanges = append(exchanges, exchange{dir, other})
		}
	}
	must(unix.Mkfifo("/fifo", 0o666))
	must(unix.Mknod("/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	must(os.Mkdir("/directory", 0o777))
	must(os.Symlink(targets[0]+"/file", "/link"))
	must(os.WriteFile("/precious", []byte("precious"), 0o600))
	must(os.Link("/precious", "/hard"))
	must(os.WriteFile(file, nil, 0o666))
	for _, other := range []string{"/fifo", "/null", "/directory", "/link", "/hard"} {
		exchanges = append(exchanges, exchange{file, other})
	}
	return func(i int) {
		e := exchanges[i/2%len(exchanges)] // there and back
		// It fails where another swap is half done, which is as good.
		unix.Renameat2(unix.AT_FDCWD, e.one, unix.AT_FDCWD, e.other, unix.RENAME_EXCHANGE)
	}
}

func must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

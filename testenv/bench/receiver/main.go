// Receiver runs in the benchmark's containers as the server that is signalled.
// On every USR1 it writes the time to the Unix socket that its argument names:
// CLOCK_MONOTONIC, which is the node's too, in nanoseconds, eight bytes. A real
// server's reload would take longer than what is measured.
package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "receiver:", err)
		os.Exit(1)
	}
}

func run() error {
	got := make(chan os.Signal, 16)
	signal.Notify(got, unix.SIGUSR1)
	conn, err := net.Dial("unix", os.Args[1])
	if err != nil {
		return err
	}
	for range got {
		var now unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
			return err
		}
		if err := binary.Write(conn, binary.NativeEndian, now.Nano()); err != nil {
			return err
		}
	}
	return nil
}

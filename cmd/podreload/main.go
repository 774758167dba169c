// Command podreload is the node agent (`podreload daemon`) and its crictl-style
// commands for a person on the node. One file holds one command; app.go the
// flags that all share, node.go what they work with, output.go what they print.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// version and shimDigest come from the build: `make build` sets them.
var (
	version    = "dev"
	shimDigest = "" // SHA-256 of the podreload-shim of the same build, in hex
)

func main() {
	os.Exit(run(os.Args))
}

// run is main with a result, so that tests can run it in their own process.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second ^C ends the process at once
	return exitCode(ctx, newApp(os.Stdout, os.Stderr).Run(ctx, args))
}

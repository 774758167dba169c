// Command demo plays the experiment that podreload began with, on real parts:
// a pod of two containers that share no PIDs, a value put in etcd, and nginx
// that serves it. Run it with `make demo`, as root. With KEEP=1 it leaves all
// of it running, prints how to play with it, and ends it at ^C.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second ^C ends it at once
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	if os.Geteuid() != 0 {
		return errors.New("podreload works with namespaces: run make demo as root")
	}
	began := time.Now()
	s, err := open(ctx)
	if err != nil {
		return err
	}
	defer func() {
		progress("ending the pod, containerd, etcd and podreload")
		err = errors.Join(err, s.Close())
		if err == nil {
			say("Nothing is left behind. It took %.0f s.", time.Since(began).Seconds())
		}
	}()
	if err := play(ctx, s); err != nil {
		return err
	}
	if os.Getenv("KEEP") == "1" {
		return keep(ctx, s)
	}
	return nil
}

// progress says what takes a moment.
func progress(what string) { fmt.Printf("… %s\n", what) }

// heading begins a step of the story.
func heading(what string) { fmt.Printf("\n== %s\n", what) }

func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }

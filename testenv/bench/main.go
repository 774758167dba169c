// Command bench measures podreload's crossing against other ways to do the same
// work, and the way from etcd to a signal, on real containers, and prints one
// table. Run it with `make bench`, as root; N=1000 measures more often.
//
// The work is one file of 2.3 KB, written and renamed, and one signal to the
// container's server. The server is a program that says when the signal
// reached it (receiver): what nginx then does is nginx's, and the same for all
// ways.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/podreload/podreload/testenv"
)

func main() {
	n := flag.Int("n", 200, "how often each way is measured; 0: only the table of many pods")
	pods := flag.String("pods", "10,100", "how many pods one change goes to")
	plots := flag.String("plots", "", "the folder for the plots of many pods; empty: none")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second ^C ends it at once
	if err := run(ctx, *n, *pods, *plots); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, n int, pods, plots string) (err error) {
	sizes, err := numbers(pods)
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("podreload works with namespaces: run make bench as root")
	}
	load := testenv.LoadAverage()
	s := &scene{}
	defer func() { err = errors.Join(err, s.Close()) }()
	if n == 0 {
		if err := s.openNode(ctx); err != nil {
			return err
		}
		fmt.Printf("\n%s, %s; load average %s before\n", time.Now().Format(time.DateOnly), testenv.Machine(), load)
		return many(ctx, os.Stdout, s, sizes, plots)
	}
	if err := s.open(ctx); err != nil {
		return err
	}
	err = race(ctx, s.ways, n, func(round int) {
		if round%50 == 0 {
			progress("%d of %d rounds", round, n)
		}
	})
	if err != nil {
		return err
	}
	return errors.Join(table(ctx, os.Stdout, s, n, load), checks(ctx, os.Stdout, s, n), proofs(ctx, os.Stdout, s, n), manyKeys(ctx, os.Stdout, s, n),
		many(ctx, os.Stdout, s, sizes, plots))
}

// numbers reads a list as 10,100; each is greater than the one before.
func numbers(list string) (all []int, err error) {
	last := 0
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n <= last {
			return nil, fmt.Errorf("-pods %s: want numbers that grow, as 10,100", list)
		}
		last = n
		all = append(all, n)
	}
	return all, nil
}

// progress says what takes a moment.
func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, "… "+format+"\n", args...) }

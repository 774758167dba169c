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
	sizes := flag.String("n", "1,100,300,1000", "how many agents")
	rest := flag.Duration("rest", 53*time.Second, "how long they rest: two rounds of their proofs")
	many := flag.Int("many", 30, "how many agents have 50,000 keys; 0: none")
	svg := flag.String("plot", "testenv/plots/fleet.svg", "where the plot goes; empty: nowhere")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	do := func() error { return run(ctx, *sizes, *rest, *many, *svg) }
	if args := flag.Args(); len(args) > 1 {
		do = func() error { return child(ctx, args) }
	}
	if err := do(); err != nil {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, sizes string, rest time.Duration, many int, svg string) (err error) {
	var agents []int
	for _, text := range strings.Split(sizes, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return fmt.Errorf("-n %s: want numbers of agents, as 1,100", sizes)
		}
		agents = append(agents, n)
	}
	dir, err := os.MkdirTemp("", "podreload-fleet-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	load := testenv.LoadAverage()
	s := &scene{rest: rest}
	if s.etcd, err = startMembers(ctx, dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.etcd.Close()) }()
	if err := s.measureAll(ctx, agents, many); err != nil {
		return err
	}
	where := fmt.Sprintf("%s, %s; load average %s before, %s after", time.Now().Format(time.DateOnly), testenv.Machine(), load, testenv.LoadAverage())
	return errors.Join(s.table(os.Stdout, where), s.plot(svg, where))
}

// progress says what takes a moment.
func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, "… "+format+"\n", args...) }

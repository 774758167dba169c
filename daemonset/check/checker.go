package check

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/nsenter"
)

// timeout bounds the making of a twin and its command together, from its turn on. It
// is generous: a server that looks names up waits for a DNS that does not
// answer, and a pod with little CPU makes the twin as slow as itself.
const timeout = 30 * time.Second

// Turn is how long a twin may keep others from being made: many times what a check takes.
const Turn = 2 * time.Second

// AtOnce is how many twins are worth making at once: they take processor time.
func AtOnce() int { return max(2, runtime.GOMAXPROCS(0)) }

// Turns says when a twin may be made, best as the profiles take turns. Done may be called twice. The
// error is the context's.
type Turns interface {
	Take(ctx context.Context, profile string) (done func(), err error)
}

// Checker makes trials. It is safe for concurrent use.
type Checker struct {
	base     string // shared with other processes' Checkers
	dir      string // this one's own, below base
	lock     *os.File
	node     node
	runtimes ociRuntimes
	report   func(error)
	turns    Turns // one for each twin under way, but for those that take long
	memory   memory
	proved   memory // of births: see Prove
	flights  flights
	hanging  hanging
	essences essences

	behind sync.WaitGroup // goroutines that outlive a Check
	ctx    context.Context
	cancel context.CancelFunc
	cpu    atomic.Int64 // what this process's children have used, in nanoseconds
}

// Open opens a folder for twins, which any number of processes may share. The folder
// is the node's, and made if it is not there. It makes this process a child
// subreaper. Turns are for [AtOnce], each of [Turn]. What cannot be cleared away is told to report, which may
// be nil. The caller closes the Checker.
func Open(dir string, turns Turns, report func(error)) (*Checker, error) {
	if err := plain(dir); err != nil {
		return nil, fmt.Errorf("open the folder for twins %w", err)
	}
	if report == nil {
		report = func(error) {}
	}
	c := &Checker{
		base: dir, report: report, turns: turns,
		runtimes: ociRuntimes{sealed: map[string]*sealed{}},
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if err := c.open(); err != nil {
		c.cancel()
		return nil, fmt.Errorf("open the folder for twins %s: %w", dir, err)
	}
	return c, nil
}

// plain says whether a path can stand in the options of an overlay.
func plain(dir string) error {
	if !filepath.IsAbs(dir) || strings.ContainsAny(dir, `:,\`) {
		return fmt.Errorf("%q: an absolute path without colon, comma and backslash is wanted", dir)
	}
	return nil
}

func (c *Checker) open() error {
	// A twin's init is an orphan once the runtime that made it has ended: it has to
	// become our child, or pid 1 would get its exit status.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become a child subreaper: %w", err)
	}
	var err error
	if c.node, err = openNode(); err != nil {
		return err
	}
	return c.node.do(func() (err error) {
		// Others may pass: see twin.access.
		if err := errors.Join(os.MkdirAll(c.base, 0o711), os.Chmod(c.base, 0o711)); err != nil {
			return err
		}
		// As mountinfo has it: see surroundings.
		if c.base, err = filepath.EvalSymlinks(c.base); err != nil {
			return err
		}
		if err := plain(c.base); err != nil {
			return err
		}
		c.dir, c.lock, err = claim(c.base)
		return err
	})
}

// Close waits until all that was made is cleared away, or until a process that cannot
// be killed has had its time. No Check may be under way.
func (c *Checker) Close() error {
	c.cancel()
	done := make(chan struct{})
	go func() {
		c.behind.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(2 * clearTimeout):
		return fmt.Errorf("close the folder for twins %s: processes hang that were killed; what filesystem do they wait for?", c.dir)
	}
	ctx, cancel := context.WithTimeout(context.Background(), clearTimeout)
	defer cancel()
	err := collectAll(ctx)
	c.runtimes.close()
	return errors.Join(err, c.node.do(func() error { return os.Remove(c.dir) }), c.lock.Close(), c.node.close())
}

// try makes one trial: all of its commands.
func (c *Checker) try(ctx context.Context, t Trial, target *nsenter.Process, b bundle) (Verdict, error) {
	begun := time.Now()
	var said []string
	for _, command := range t.Commands {
		out, err := c.tryCommand(ctx, t, target, b, command)
		if err != nil {
			return Verdict{}, err
		}
		if out != "" {
			said = append(said, out)
		}
	}
	return Verdict{Output: strings.Join(said, "\n"), Took: time.Since(begun)}, nil
}

// tryCommand makes a twin for one command, when it is its turn. The twin is cleared away
// behind the answer.
func (c *Checker) tryCommand(ctx context.Context, t Trial, target *nsenter.Process, b bundle, command Command) (string, error) {
	if err := c.hanging.none(ctx, t.Container.ID); err != nil {
		return "", err
	}
	over, err := c.turns.Take(ctx, t.Profile)
	if err != nil {
		return "", fmt.Errorf("wait for other checks: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout+command.Timeout)
	defer cancel()
	twin, err := c.newTwin(ctx, b, t, target.Pid(), command)
	c.behind.Add(1)
	defer func() {
		go func() {
			defer c.behind.Done()
			defer over()
			if err := twin.clear(context.WithoutCancel(ctx)); err != nil {
				c.report(err)
			}
		}()
	}()
	if err != nil {
		return "", fmt.Errorf("make a twin: %w", err)
	}
	out, err := twin.run(ctx, t, target, command)
	// The end of the target, or of its pod, can look like any failure, and like success.
	if gone := target.Alive(); gone != nil {
		return "", gone
	}
	return out, err
}

func size(t Trial) (n int64) {
	for _, f := range t.Files {
		n += int64(len(f.Data))
	}
	return n
}

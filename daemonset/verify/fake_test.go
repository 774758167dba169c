package verify

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/testenv"
)

// playerDir holds the player, built once; trees link to it.
var playerDir string

func TestMain(m *testing.M) {
	var err error
	if playerDir, err = os.MkdirTemp("", "verify"); err != nil {
		panic(err)
	}
	testenv.Main(m, func() error { return os.RemoveAll(playerDir) })
}

var player = sync.OnceValues(func() (string, error) {
	file := filepath.Join(playerDir, "player")
	out, err := exec.Command("go", "build", "-o", file, "testdata/player/main.go").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("build the player: %w\n%s", err, out)
	}
	return file, err
})

// node describes one process of a tree, which testdata/player plays.
type node struct {
	Name     string // base name of the executable
	Title    string // argv[0]; Name if empty
	Cgroup   string // joined at the start, when set
	Ignore   bool   // has no handler for SIGHUP
	Block    bool   // keeps SIGHUP off
	Exit     bool   // ends at once, and stays a zombie
	Listen   bool   // on a TCP port, and has a pipe
	Children []node
}

// tree is a running tree of processes, seen from its root.
type tree struct {
	pid int
	in  io.WriteCloser
	out *bufio.Reader
}

// plant starts a tree, which ends with the test.
func plant(t testing.TB, root node) *tree {
	t.Helper()
	file, err := player()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(playerDir, "tree")
	if err != nil {
		t.Fatal(err)
	}
	for name := range names(root, map[string]bool{"nginx": true, "sh": true}) {
		if err := os.Link(file, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	b, err := json.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	cmd := &exec.Cmd{Path: filepath.Join(dir, root.Name), Args: []string{root.Name}, Env: []string{"NODE=" + string(b)}, Stderr: os.Stderr}
	if root.Title != "" {
		cmd.Args[0] = root.Title
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close() // each ends with its stdin, after its children
		cmd.Wait()
	})
	tr := &tree{in: in, out: bufio.NewReader(out)}
	tr.pid = tr.answer(t)
	return tr
}

func names(n node, into map[string]bool) map[string]bool {
	into[n.Name] = true
	for _, c := range n.Children {
		names(c, into)
	}
	return into
}

// do has the root obey a line (see testdata/player), which it has done when do
// returns.
func (tr *tree) do(t testing.TB, format string, args ...any) int {
	t.Helper()
	if _, err := fmt.Fprintf(tr.in, format+"\n", args...); err != nil {
		t.Fatal(err)
	}
	return tr.answer(t)
}

func (tr *tree) answer(t testing.TB) int {
	t.Helper()
	line, err := tr.out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// start has the root start a child of the executable with that title.
func (tr *tree) start(t testing.TB, title string) int {
	t.Helper()
	b, err := json.Marshal(node{Name: "nginx", Title: title})
	if err != nil {
		t.Fatal(err)
	}
	return tr.do(t, "start %s", b)
}

// pin pins a process until the test ends.
func pin(t testing.TB, pid int) *nsenter.Process {
	t.Helper()
	p, err := nsenter.Pin(pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// cgroup makes a cgroup, as a container has one, until the test and the last of
// its processes end.
func cgroup(t testing.TB) string {
	t.Helper()
	root := "/sys/fs/cgroup"
	if _, err := os.Stat(root + "/pids"); err == nil {
		root += "/pids"
	}
	dir, err := os.MkdirTemp(root, "verify")
	if err != nil {
		testenv.Lacking(t, err)
	}
	t.Cleanup(func() {
		poll(t, time.Now().Add(patience), func() bool { return os.Remove(dir) == nil })
	})
	return dir
}

// patience is how long something that has to come is waited for.
const patience = time.Minute

// poll waits for what is no event.
func poll(t testing.TB, deadline time.Time, done func() bool) {
	t.Helper()
	for !done() {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
		time.Sleep(shortest)
	}
}

// waitAtMost waits for a proof until a deadline.
func waitAtMost(t testing.TB, pr *Proof, deadline time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	return pr.Wait(ctx)
}

// maxUnsure is how often the agent signals once more.
const maxUnsure = 5

// sure is the answer of wait, or of again where that cannot tell our reload from another that was
// under way, as on a busy machine: what signals once more, as the agent does.
func sure(wait, again func() error) error {
	err := wait()
	for n := 0; n < maxUnsure && errors.Is(err, ErrUnsure); n++ {
		err = again()
	}
	return err
}

// says waits until a proof that does not come says why in those words.
func says(t testing.TB, pr *Proof, words string) {
	t.Helper()
	poll(t, time.Now().Add(patience), func() bool {
		err := waitAtMost(t, pr, longest)
		if !errors.Is(err, ErrNotTaken) {
			t.Fatalf("got %v, want %v that says %q", err, ErrNotTaken, words)
		}
		return strings.Contains(err.Error(), words)
	})
}

// read reads a file of the container, through the node's /proc.
func read(t testing.TB, init *nsenter.Process, file string) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/root%s", init.Pid(), file))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

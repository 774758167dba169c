package verify

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/testenv"
)

const (
	slowFile  = "/etc/nginx/slow"
	extraFile = "/etc/nginx/conf.d/extra.conf"
)

// stuck is an nginx that is told to reload a configuration which it cannot read to
// its end: it waits to open a FIFO. What is returned lets it go on.
func stuck(t *testing.T, init, master *nsenter.Process) (release func()) {
	t.Helper()
	write(t, init, extraFile, "include "+slowFile+";\n")
	pr, err := nginx.Before(master)
	if err != nil {
		t.Fatal(err)
	}
	defer pr.Close()
	hup(t, master)
	poll(t, time.Now().Add(patience), func() bool { // where the kernel has it wait to open a FIFO
		b, err := nsenter.ReadProc(master.Pid(), "wchan", maxTitle)
		return err == nil && (string(b) == "wait_for_partner" || string(b) == "fifo_open")
	})
	says(t, pr, "still at work")
	return func() {
		t.Helper()
		// It is there to read, so this does not wait either.
		fifo, err := os.OpenFile("/proc/"+itoa(init.Pid())+"/root"+slowFile, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		fifo.Close()
	}
}

// A reload that was given up on is under way when the files before it are back and
// are signalled: it still brings forth workers, and these are no proof.
func TestLateReload(t *testing.T) {
	node := testenv.NewNode(t, testenv.Debian)
	pod, init := run(t, node, testenv.PodConfig{Name: "late", Containers: []testenv.ContainerConfig{{Name: "web"}}})
	master, _ := await(t, init)
	if _, err := pod.Container("web").Exec(t.Context(), "mkfifo", slowFile); err != nil {
		t.Fatal(err)
	}
	begin := func(t *testing.T, restored string) (release func(), pr *Proof) {
		t.Helper()
		release = stuck(t, init, master)
		write(t, init, extraFile, restored)
		pr, err := nginx.Before(master)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { pr.Close() })
		hup(t, master)
		return release, pr
	}
	const good, bad = "server { listen 81; return 200 restored; }\n", "nonsense;\n"

	t.Run("restored", func(t *testing.T) {
		release, pr := begin(t, good)
		release()
		if err := waitSure(t, pr); err != nil {
			t.Error(err)
		}
		if got, err := pod.Get(t.Context(), 81, "/"); err != nil || got != "restored" {
			t.Errorf("after the proof: got %q, %v", got, err)
		}
	})

	t.Run("restored while it is still at work", func(t *testing.T) {
		release, pr := begin(t, good)
		says(t, pr, "not come to the signal")
		release()
		if err := waitSure(t, pr); err != nil {
			t.Error(err)
		}
	})

	t.Run("with what is bad too", func(t *testing.T) {
		release, pr := begin(t, bad)
		release()
		if err := waitSure(t, pr); !errors.Is(err, ErrNotTaken) {
			t.Errorf("got %v, want %v", err, ErrNotTaken)
		}
	})

	// The machine is so busy that all is over when the next look comes.
	t.Run("with what is bad too, seen late", func(t *testing.T) {
		write(t, init, extraFile, good)
		if err := reload(t, master, patience); err != nil {
			t.Fatal(err)
		}
		release, pr := begin(t, bad)
		release()
		poll(t, time.Now().Add(patience), func() bool { return !alive(pr) })
		poll(t, time.Now().Add(patience), func() bool {
			m, err := readMask(master.Pid(), syscall.SIGHUP)
			return err == nil && m.idle()
		})
		if err := waitAtMost(t, pr, patience); !errors.Is(err, ErrUnsure) {
			t.Errorf("got %v, want %v", err, ErrUnsure)
		}
		if err := reload(t, master, patience); !errors.Is(err, ErrNotTaken) {
			t.Errorf("signalled once more: got %v, want %v", err, ErrNotTaken)
		}
	})
}

// alive reports whether one of the workers that a proof began with lives.
func alive(pr *Proof) bool {
	for _, c := range pr.children {
		if c.proc.Alive() == nil {
			return true
		}
	}
	return false
}

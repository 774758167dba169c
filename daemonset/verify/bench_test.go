package verify

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/testenv"
)

func BenchmarkContainer(b *testing.B) {
	node := testenv.NewNode(b, testenv.Debian)
	_, init := run(b, node, testenv.PodConfig{Name: "bench", Containers: []testenv.ContainerConfig{{Name: "web"}}})
	master, _ := await(b, init)

	b.Run("find", func(b *testing.B) {
		for b.Loop() {
			found, err := nginx.Find(b.Context(), init)
			if err != nil {
				b.Fatal(err)
			}
			found.Close()
		}
	})
	b.Run("before", func(b *testing.B) {
		for b.Loop() {
			pr, err := nginx.Before(master)
			if err != nil {
				b.Fatal(err)
			}
			pr.Close()
		}
	})
	b.Run("look", func(b *testing.B) {
		pr, err := nginx.Before(master)
		if err != nil {
			b.Fatal(err)
		}
		defer pr.Close()
		for b.Loop() {
			if err := pr.look(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("proof", func(b *testing.B) {
		before := processor(b)
		for b.Loop() {
			if err := reload(b, master, patience); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(processor(b)-before)/float64(b.N), "cpu-ns/op")
	})
	// What nginx itself takes, seen with the least that can be looked at: until
	// there is a new child, and until the old ones are gone, 100 ms later.
	b.Run("bare/first-new", func(b *testing.B) {
		for b.Loop() {
			old := children(b, master)
			hup(b, master)
			poll(b, time.Now().Add(patience), func() bool {
				return slices.ContainsFunc(children(b, master), func(pid int) bool { return !slices.Contains(old, pid) })
			})
			b.StopTimer()
			waitGone(b, master, old)
			b.StartTimer()
		}
	})
	b.Run("bare/old-gone", func(b *testing.B) {
		for b.Loop() {
			old := children(b, master)
			hup(b, master)
			waitGone(b, master, old)
		}
	})
}

// processor is this process's processor time, in ns: what a proof costs a node that has many.
func processor(b *testing.B) int64 {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return r.Utime.Nano() + r.Stime.Nano()
}

func children(b *testing.B, master *nsenter.Process) []int {
	pids, err := nsenter.Children(master.Pid())
	if err != nil {
		b.Fatal(err)
	}
	return pids
}

func waitGone(b *testing.B, master *nsenter.Process, old []int) {
	poll(b, time.Now().Add(patience), func() bool {
		return !slices.ContainsFunc(children(b, master), func(pid int) bool { return slices.Contains(old, pid) })
	})
}

// BenchmarkServers is the proof of the others, which takes as long as they do.
func BenchmarkServers(b *testing.B) {
	node := testenv.NewNode(b, testenv.Debian)
	for name, command := range map[string][]string{
		"haproxy": {"haproxy", "-W", "-f", haproxyFile},
		"apache":  {"apache2", "-D", "FOREGROUND"},
	} {
		p := preset(b, name)
		_, init := run(b, node, testenv.PodConfig{Name: "bench-" + name, Containers: []testenv.ContainerConfig{{Name: "web", Command: command}}})
		master, pr := awaitServer(b, p, init)
		b.Run(name+"/look", func(b *testing.B) {
			for b.Loop() {
				pr.mustLook(b)
			}
		})
		b.Run(name+"/census", func(b *testing.B) {
			for b.Loop() {
				if _, _, err := p.Census(master); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/proof", func(b *testing.B) {
			for b.Loop() {
				if err := reloadServer(b, p, master, patience); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkFindElsewhere is the search of all of /proc, and what it found.
func BenchmarkFindElsewhere(b *testing.B) {
	dir := cgroup(b)
	init := pin(b, plant(b, node{Name: "sh", Cgroup: dir}).pid)
	background := server()
	background.Cgroup = dir
	plant(b, background)
	pids, err := nsenter.Pids()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		master, err := nginx.Find(b.Context(), init)
		if err != nil {
			b.Fatal(err)
		}
		master.Close()
	}
	b.ReportMetric(float64(len(pids)), "processes")
}

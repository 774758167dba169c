package nsenter_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podreload/podreload/nsenter"
	"github.com/podreload/podreload/shim"
)

// BenchmarkCross is a whole crossing into a container: on tmpfs, and as far as
// nothing but the way there and back. Back to back as here, the spare is seldom
// ready, so its rows wait a little between two crossings, unmeasured.
func BenchmarkCross(b *testing.B) {
	for name, request := range map[string]func(i int) shim.Request{
		"empty": func(int) shim.Request { return shim.Request{Op: shim.Apply} },
		"signal": func(int) shim.Request {
			return shim.Request{Op: shim.Apply, Signal: int(unix.SIGHUP), Always: true}
		},
		"write+signal": func(i int) shim.Request {
			return shim.Request{Op: shim.Apply, Signal: int(unix.SIGHUP), Files: []shim.File{{Path: "/etc/x", Data: fmt.Append(nil, i)}}}
		},
	} {
		run := func(b *testing.B, spare bool) {
			p, s := start(b, "quiet"), sealed(b)
			if spare {
				s.KeepSpare()
			}
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				body, err := request(i).Encode()
				if err != nil {
					b.Fatal(err)
				}
				if spare {
					time.Sleep(5 * time.Millisecond)
				}
				begin := time.Now()
				reply, err := s.Cross(b.Context(), p.Process, p.Process, body)
				took = append(took, time.Since(begin))
				if err != nil {
					b.Fatal(err)
				}
				if res, err := shim.DecodeResult(reply); err != nil || res.Error != nil {
					b.Fatal(res.Error, err)
				}
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-median")
		}
		b.Run(name, func(b *testing.B) { run(b, false) })
		b.Run(name+"+spare", func(b *testing.B) { run(b, true) })
	}
}

// BenchmarkPin is what it costs to know who a process is.
func BenchmarkPin(b *testing.B) {
	p := start(b, "quiet")
	for b.Loop() {
		process, err := nsenter.Pin(p.Pid())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := process.Info(); err != nil {
			b.Fatal(err)
		}
		process.Close()
	}
}

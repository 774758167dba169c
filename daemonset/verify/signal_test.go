package verify

import (
	"errors"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podreload/podreload/nsenter"
)

func itoa(n int) string { return strconv.Itoa(n) }

func TestSignal(t *testing.T) {
	for name, want := range map[string]syscall.Signal{
		"HUP": 1, "SIGHUP": 1, "hup": 1, "sigHup": 1, "1": 1, "USR2": 12, "WINCH": 28, "64": 64,
		"": 0, "0": 0, "-1": 0, "65": 0, "SIG": 0, "SIGSIGHUP": 0, "HUPP": 0, "1 ": 0,
	} {
		got, err := Signal(name)
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("Signal(%q) = %d, %v; want %d", name, got, err, want)
		}
		if err != nil && !errors.Is(err, ErrBadSignal) {
			t.Errorf("Signal(%q): %v is not %v", name, err, ErrBadSignal)
		}
	}
}

func FuzzSignal(f *testing.F) {
	for _, s := range []string{"HUP", "SIGUSR1", "9", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		sig, err := Signal(s)
		if err != nil {
			return
		}
		if again, err := Signal(SignalName(sig)); err != nil || again != sig {
			t.Errorf("%q is %d, whose name %q is %d, %v", s, sig, SignalName(sig), again, err)
		}
	})
}

func TestCanSignal(t *testing.T) {
	const hup = 1 << (syscall.SIGHUP - 1)
	tests := []struct {
		name string
		info nsenter.Info
		sig  syscall.Signal
		says string // empty: may be sent
	}{
		{"caught", nsenter.Info{NSPid: 7, SigCgt: hup}, syscall.SIGHUP, ""},
		{"caught by PID 1", nsenter.Info{NSPid: 1, SigCgt: hup}, syscall.SIGHUP, ""},
		{"not caught", nsenter.Info{NSPid: 7}, syscall.SIGHUP, "would end it"},
		{"another caught", nsenter.Info{NSPid: 7, SigCgt: hup}, syscall.SIGUSR1, "would end it"},
		{"not caught by PID 1", nsenter.Info{NSPid: 1}, syscall.SIGHUP, "would do nothing"},
		{"kill", nsenter.Info{NSPid: 1}, syscall.SIGKILL, "would end it"},
		{"stop", nsenter.Info{NSPid: 7}, syscall.SIGTSTP, "would stop it"},
		{"winch", nsenter.Info{NSPid: 7}, syscall.SIGWINCH, "would do nothing"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := CanSignal(test.info, test.sig)
			if test.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, ErrWouldKill) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want %v that says %q", err, ErrWouldKill, test.says)
			}
		})
	}
}

func TestLookup(t *testing.T) {
	for _, name := range Presets() {
		if p, err := Lookup(name); err != nil || p.Name != name {
			t.Errorf("Lookup(%q) = %q, %v", name, p.Name, err)
		}
	}
	_, err := Lookup("ngnix")
	if !errors.Is(err, ErrUnknownPreset) || !strings.Contains(err.Error(), "nginx") {
		t.Errorf("got %v, want %v with the known names", err, ErrUnknownPreset)
	}
}

func TestTitlesFit(t *testing.T) {
	for _, p := range presets {
		for _, title := range []string{p.Master, p.Worker, p.Draining} {
			if len(title) > maxTitle {
				t.Errorf("%s: %q is longer than what is read", p.Name, title)
			}
		}
	}
}

func TestMatches(t *testing.T) {
	for exe, want := range map[string]bool{
		"/usr/sbin/nginx": true, "/usr/sbin/nginx (deleted)": true, "/usr/local/openresty/nginx/sbin/nginx": true,
		"/usr/sbin/nginx-debug": true, "/usr/bin/nginx/sh": false, "/nginx.sh": false, "": false, " (deleted)": false,
	} {
		if got := nginx.Matches(exe); got != want {
			t.Errorf("Matches(%q) = %v", exe, got)
		}
	}
}

func TestParseMask(t *testing.T) {
	const idle = "Name:\tnginx\nSigQ:\t0/1\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000000000\nSigBlk:\t0000000000000000\nSigCgt:\t0000000198016a07\n"
	tests := []struct {
		name, status string
		want         mask
		bad          bool
	}{
		{name: "idle", status: idle},
		{name: "pending for the process", status: strings.Replace(idle, "ShdPnd:\t0000000000000000", "ShdPnd:\t0000000000000001", 1), want: mask{pending: true}},
		{name: "pending for the thread", status: strings.Replace(idle, "SigPnd:\t0000000000000000", "SigPnd:\t0000000000000001", 1), want: mask{pending: true}},
		{name: "blocked", status: strings.Replace(idle, "SigBlk:\t0000000000000000", "SigBlk:\t0000000018016a07", 1), want: mask{blocked: true}},
		{name: "another blocked", status: strings.Replace(idle, "SigBlk:\t0000000000000000", "SigBlk:\t0000000000000002", 1)},
		{name: "missing", status: "Name:\tnginx\n", bad: true},
		{name: "no number", status: strings.Replace(idle, "SigBlk:\t0", "SigBlk:\tx", 1), bad: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseMask([]byte(test.status), syscall.SIGHUP)
			if (err != nil) != test.bad {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(mask{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzParseMask(f *testing.F) {
	f.Add([]byte("SigPnd:\t0000000000000000\nShdPnd:\t0000000000000001\nSigBlk:\t0000000000000000\n"))
	f.Fuzz(func(t *testing.T, status []byte) {
		if m, err := parseMask(status, syscall.SIGHUP); err != nil && m != (mask{}) {
			t.Errorf("%v beside the error %v", m, err)
		}
	})
}

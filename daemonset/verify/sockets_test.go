package verify

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	tcpTitle  = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	tcpLine   = "   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 %d 1 0000 100 0 1 10 0\n"
	tcpOther  = "   1: 0100007F:0050 0100007F:D1E2 01 00000000:00000000 00:00000000 00000000     0        0 77 1 0000 20 4 30 10 -1\n"
	unixTitle = "Num       RefCount Protocol Flags    Type St Inode Path\n"
	unixLine  = "0000000000000000: 00000002 00000000 %08x 0001 01 %d %s\n"
)

func TestScan(t *testing.T) {
	tests := []struct {
		name   string
		family sockets
		text   string
		want   listeners
		fails  bool
	}{
		{"tcp", overTCP, tcpTitle + fmt.Sprintf(tcpLine, 5) + fmt.Sprintf(tcpLine, 6) + tcpOther, listeners{5: overTCP, 6: overTCP}, false},
		{"behind the first connection nothing is read", overTCP, tcpTitle + tcpOther + "nonsense\n", listeners{}, false},
		{"no socket", overTCP, tcpTitle, listeners{}, false},
		{"nothing at all", overTCP, "", listeners{}, false},
		{"tcp too short", overTCP, tcpTitle + "0: 1 2 0A\n", nil, true},
		{"tcp with a bad inode", overTCP, tcpTitle + strings.Replace(tcpLine, "%d", "x", 1), nil, true},
		{"unix", overUnix, unixTitle + fmt.Sprintf(unixLine, 0, 4, "") + fmt.Sprintf(unixLine, 0x10000, 5, "/run/a b"), listeners{5: overUnix}, false},
		{"unix with a line feed in its name", overUnix, unixTitle + fmt.Sprintf(unixLine, 0x10000, 5, "/run/a\nb") + fmt.Sprintf(unixLine, 0x10000, 6, "@"), listeners{5: overUnix, 6: overUnix}, false},
		{"a line without end", overUnix, unixTitle + strings.Repeat("x", maxLine), nil, true},
	}
	for _, test := range tests {
		l := listeners{}
		err := l.scan(strings.NewReader(test.text), test.family, parser(test.family))
		if (err != nil) != test.fails {
			t.Errorf("%s: %v", test.name, err)
		}
		if diff := cmp.Diff(test.want, l); err == nil && diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
	l := listeners{}
	flood := io.MultiReader(strings.NewReader(unixTitle), strings.NewReader(strings.Repeat(fmt.Sprintf(unixLine, 0, 1, ""), maxSockets+1)))
	if err := l.scan(flood, overUnix, parseUnix); !errors.Is(err, ErrUnprovable) {
		t.Errorf("a flood of sockets: %v, want %v", err, ErrUnprovable)
	}
}

func parser(family sockets) func([]byte) (uint64, bool, error) {
	if family == overTCP {
		return parseTCP
	}
	return parseUnix
}

// What the kernel says of this very process.
func TestListeners(t *testing.T) {
	holds := func(want sockets) sockets {
		t.Helper()
		l, err := readListeners(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		held, err := new(descriptors).listens(os.Getpid(), l, want)
		if err != nil {
			t.Fatal(err)
		}
		return held
	}
	if held := holds(overTCP | overUnix); held != 0 {
		t.Fatalf("without a listener: %b", held)
	}
	quiet, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer quiet.Close()
	if held := holds(overTCP); held != overUnix {
		t.Errorf("with a unix listener: %b", held)
	}
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		tcp, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", tcp.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if held := holds(overTCP); held&overTCP == 0 {
			t.Errorf("with a listener at %s: %b", address, held)
		}
		tcp.Close()
		if held := holds(overTCP); held != overUnix {
			t.Errorf("with a connection alone: %b", held)
		}
		conn.Close()
	}
	if _, err := (&descriptors{seen: maxFDs}).listens(os.Getpid(), nil, overTCP); !errors.Is(err, ErrUnprovable) {
		t.Errorf("beyond the bound: %v, want %v", err, ErrUnprovable)
	}
	if _, err := new(descriptors).listens(1<<30, nil, overTCP); !errors.Is(err, ErrGone) {
		t.Errorf("without a process: %v, want %v", err, ErrGone)
	}
}

func FuzzScan(f *testing.F) {
	f.Add(true, tcpTitle+fmt.Sprintf(tcpLine, 5)+tcpOther)
	f.Add(false, unixTitle+fmt.Sprintf(unixLine, 0x10000, 5, "/run/x\n\n0: 1 1 00010000 1 1 9"))
	f.Fuzz(func(t *testing.T, tcp bool, text string) {
		family := overUnix
		if tcp {
			family = overTCP
		}
		l := listeners{}
		if err := l.scan(strings.NewReader(text), family, parser(family)); err != nil && err.Error() == "" {
			t.Fatal("an error without words")
		}
		for inode, of := range l {
			if inode == 0 || of != family || !strings.Contains(text, fmt.Sprint(inode)) {
				t.Fatalf("%d: %b", inode, of)
			}
		}
	})
}

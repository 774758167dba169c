package frame

import (
	"bytes"
	"errors"
	"syscall"
	"testing"
)

func TestFault(t *testing.T) {
	want := Fault{Step: StepJoin, Errno: syscall.EPERM}
	got, err := DecodeFault(want.Encode())
	if got != want || err != nil || !errors.Is(got, syscall.EPERM) {
		t.Errorf("%v, %v", got, err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(append(Header(Reply, 2), "ok"...))
	f.Add(Header(Failure, 0))
	f.Add(Header(Reply, MaxBody+1))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 2 {
			b[min(3, len(b)-1)] = 0 // a body of less than 64 KiB: the rest is only slow
		}
		kind, body, err := Read(bytes.NewReader(b))
		if err == nil && !bytes.Equal(b[:HeaderSize+len(body)], append(Header(kind, len(body)), body...)) {
			t.Errorf("%x is read as %v %x", b, kind, body)
		}
		DecodeFault(b)
	})
}

package exec

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestProcessSpec(t *testing.T) {
	const spec = `{"ociVersion":"1.1.0","process":{"terminal":true,"consoleSize":{"height":1,"width":2},"user":{"uid":101,"umask":18},
"args":["nginx"],"cwd":"/srv","noNewPrivileges":true,"capabilities":{"effective":["CAP_KILL"]},"selinuxLabel":"a:b:c","news":{"of":1}},"root":{}}`
	got, err := processSpec([]byte(spec), []string{"a", "<b>"})
	if err != nil {
		t.Fatal(err)
	}
	var have, want any
	if err := errors.Join(json.Unmarshal(got, &have), json.Unmarshal([]byte(`{"user":{"uid":101,"umask":18},"args":["a","<b>"],
"cwd":"/srv","noNewPrivileges":true,"capabilities":{"effective":["CAP_KILL"]},"selinuxLabel":"a:b:c","news":{"of":1}}`), &want)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, bad := range []string{"", "{}", `{"process":null}`, `{"process":[]}`, "[", strings.Repeat(" ", maxSpec+1)} {
		if got, err := processSpec([]byte(bad), nil); err == nil {
			t.Errorf("%.20q: %s", bad, got)
		}
	}
}

func FuzzProcessSpec(f *testing.F) {
	f.Add([]byte(`{"process":{"args":["x"],"terminal":true}}`))
	f.Fuzz(func(t *testing.T, spec []byte) {
		got, err := processSpec(spec, []string{"true"})
		if err != nil {
			return
		}
		var p struct {
			Args     []string
			Terminal bool
		}
		if err := json.Unmarshal(got, &p); err == nil && (p.Terminal || len(p.Args) != 1 || p.Args[0] != "true") {
			// encoding/json takes members whatever their case; the runtime does so too.
			t.Errorf("%s becomes %s", spec, got)
		}
	})
}

// The first and the last are kept, however they come.
func FuzzTake(f *testing.F) {
	f.Add([]byte("hello"), uint16(3), uint16(40000))
	f.Add(bytes.Repeat([]byte("x"), 100), uint16(100), uint16(200))
	f.Fuzz(func(t *testing.T, part []byte, step, times uint16) {
		if len(part) == 0 || len(part)*int(times) > 1<<20 {
			return
		}
		all := bytes.Repeat(part, int(times))
		o := &output{}
		for rest := all; len(rest) > 0; {
			n := min(len(rest), int(step)+1)
			o.take(rest[:n])
			rest = rest[n:]
		}
		head := all[:min(len(all), keep)]
		tail := all[len(head):]
		tail = tail[max(0, len(tail)-keep):]
		got := append(bytes.Clone(o.tail[o.next:]), o.tail[:o.next]...)
		if !bytes.Equal(o.head, head) || !bytes.Equal(got, tail) || o.size != int64(len(all)) {
			t.Errorf("of %d bytes: head %d, tail %d, size %d", len(all), len(o.head), len(o.tail), o.size)
		}
	})
}

func TestOutputText(t *testing.T) {
	o := &output{}
	o.take([]byte("\x1b]0;never ended"))
	o.take(bytes.Repeat([]byte("\n"), 3*keep))
	o.take([]byte("\x1b[31mred\x1b[0m\x00\n"))
	if got := o.String(); !strings.HasSuffix(got, "bytes left out …\nred") {
		t.Errorf("%q", got)
	}
	short := &output{}
	short.take([]byte("one\n"))
	if got := short.String(); got != "one" {
		t.Errorf("%q", got)
	}
}

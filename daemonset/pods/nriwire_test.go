package pods

import (
	"context"
	"encoding/hex"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

// told are messages as containerd's NRI writes them, in hex: from its own code, v0.12.5.
var told = map[string]struct{ method, request string }{
	"containerd 2":   {"StartContainer", "0a2a0a0a73616e64626f782d696412057765622d30220764656661756c742a0a0a036170701203776562480c12650a0c636f6e7461696e65722d6964120a73616e64626f782d69641a056e67696e7820013a056e67696e783a022d673a0b6461656d6f6e206f66663b4203413d624a160a0a2f6574632f686f737473120462696e641a022f7860e724708080a8b1e39fe7cb17"},
	"containerd 1.7": {"StateChange", "0806122a0a0a73616e64626f782d696412057765622d30220764656661756c742a0a0a036170701203776562480c1a650a0c636f6e7461696e65722d6964120a73616e64626f782d69641a056e67696e7820013a056e67696e783a022d673a0b6461656d6f6e206f66663b4203413d624a160a0a2f6574632f686f737473120462696e641a022f7860e724708080a8b1e39fe7cb17"},
}

// ask has the plugin answer a request of that wire form.
func ask(t testing.TB, n *nri, method string, request []byte) []byte {
	t.Helper()
	reply, err := n.methods()[method](context.WithoutCancel(t.Context()), func(to any) error { return proto.Unmarshal(request, to.(proto.Message)) })
	if err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	b, err := proto.Marshal(reply.(*emptypb.Empty))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWire(t *testing.T) {
	for name, tt := range told {
		t.Run(name, func(t *testing.T) {
			request, err := hex.DecodeString(tt.request)
			if err != nil {
				t.Fatal(err)
			}
			var id string
			var pid int
			n := &nri{starting: func(_ context.Context, i string, p int) { id, pid = i, p }}
			if reply := ask(t, n, tt.method, request); len(reply) > 0 || id != "container-id" || pid != 4711 {
				t.Errorf("told of %q, process %d, and answered %x", id, pid, reply)
			}
		})
	}
	n := &nri{configured: make(chan struct{}), starting: func(context.Context, string, int) { t.Error("told of a start") }}
	// Events: the sixth bit. And again: it is asked once in a connection, but who knows.
	for range 2 {
		if got := ask(t, n, "Configure", nil); hex.EncodeToString(got) != "1020" {
			t.Errorf("configured with %x", got)
		}
	}
	if got := ask(t, n, "Synchronize", appendNumber(nil, 3, 1)); hex.EncodeToString(got) != "1001" {
		t.Errorf("to a part of what runs: %x, want that more may come", got)
	}
	if got := ask(t, n, "Synchronize", nil); number(got, 2) != 0 {
		t.Errorf("to the last part: %x", got)
	}
	ask(t, n, "StateChange", appendNumber(nil, 1, 7)) // another event
}

// FuzzWire: what is no message makes no panic.
func FuzzWire(f *testing.F) {
	for _, tt := range told {
		request, err := hex.DecodeString(tt.request)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(request)
	}
	f.Fuzz(func(t *testing.T, request []byte) {
		n := &nri{starting: func(_ context.Context, id string, pid int) {
			if id == "" || pid <= 0 {
				t.Errorf("told of %q, process %d", id, pid)
			}
		}}
		n.start(t.Context(), field(request, 2))
		n.start(t.Context(), field(request, 3))
	})
}

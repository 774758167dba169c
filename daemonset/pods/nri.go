package pods

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/nri/pkg/net/multiplex"
	"github.com/containerd/ttrpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

// DefaultNRISocket is where containerd's NRI listens.
const DefaultNRISocket = "/var/run/nri/nri.sock"

// How the plugin is called among others: they are called in the order of their index.
const (
	nriName  = "podreload"
	nriIndex = "90" // after those that change the container
)

// The protocol's services, since containerd 1.7.
const (
	nriPlugin  = "nri.pkg.api.v1alpha1.Plugin"
	nriRuntime = "nri.pkg.api.v1alpha1.Runtime"
)

// registerTimeout bounds the registration: containerd gives a plugin 5 s for its part of it.
const registerTimeout = 10 * time.Second

// nri is one connection to containerd's NRI as a plugin.
//
// NRI's own stub is not used: it brings the messages of everything that a plugin can
// change and a WebAssembly runtime into a program that is root on each node, and
// waits without a deadline for a containerd that ends while it registers. What is needed
// here is which container starts, and its process.
type nri struct {
	starting   func(ctx context.Context, id string, pid int)
	configured chan struct{} // closed by the first Configure
}

// serve registers at the socket and answers until the connection ends or ctx does. It
// calls registered once containerd has taken the plugin.
func (n *nri) serve(ctx context.Context, socket string, registered func()) error {
	conn, err := dialSocket(ctx, socket)
	if err != nil {
		return err
	}
	trunk := multiplex.Multiplex(conn)
	defer trunk.Close()
	listener, err := trunk.Listen(multiplex.PluginServiceConn)
	if err != nil {
		return err
	}
	server, err := ttrpc.NewServer()
	if err != nil {
		return err
	}
	n.configured = make(chan struct{})
	server.RegisterService(nriPlugin, &ttrpc.ServiceDesc{Methods: n.methods()})
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, listener) }()
	defer func() {
		_ = server.Close()
		_ = trunk.Close()
		<-served
	}()
	up, err := trunk.Open(multiplex.RuntimeServiceConn)
	if err != nil {
		return err
	}
	lost := make(chan struct{})
	client := ttrpc.NewClient(up, ttrpc.WithOnClose(func() { close(lost) }))
	defer client.Close()
	if err := n.register(ctx, client, lost); err != nil {
		return err
	}
	registered()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-lost:
		return errors.New("containerd ended the connection")
	}
}

// register tells containerd who we are, and waits until it has asked what we want.
func (n *nri) register(ctx context.Context, client *ttrpc.Client, lost <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, registerTimeout)
	defer cancel()
	who := message(appendText(appendText(nil, 1, nriName), 2, nriIndex))
	if err := client.Call(ctx, nriRuntime, "RegisterPlugin", who, &emptypb.Empty{}); err != nil {
		return fmt.Errorf("register: %w", err)
	}
	select {
	case <-n.configured:
		return nil
	case <-lost:
		return errors.New("containerd ended the connection while we registered")
	case <-ctx.Done():
		return fmt.Errorf("register: %w", ctx.Err())
	}
}

// methods are what containerd asks of a plugin, as far as it concerns this one.
func (n *nri) methods() map[string]ttrpc.Method {
	method := func(answer func(ctx context.Context, request []byte) ([]byte, error)) ttrpc.Method {
		return func(ctx context.Context, unmarshal func(any) error) (any, error) {
			var request emptypb.Empty
			if err := unmarshal(&request); err != nil {
				return nil, err
			}
			reply, err := answer(ctx, request.ProtoReflect().GetUnknown())
			return message(reply), err
		}
	}
	return map[string]ttrpc.Method{
		"Configure": method(func(context.Context, []byte) ([]byte, error) {
			select {
			case <-n.configured:
			default:
				close(n.configured)
			}
			return appendNumber(nil, 2, 1<<(eventStart-1)), nil
		}),
		// What runs is known by other means. containerd sends it in parts if it is much,
		// and wants to hear that we know that.
		"Synchronize": method(func(_ context.Context, request []byte) ([]byte, error) {
			return appendNumber(nil, 2, number(request, 3)), nil
		}),
		"Shutdown": method(func(context.Context, []byte) ([]byte, error) { return nil, nil }),
		"StartContainer": method(func(ctx context.Context, request []byte) ([]byte, error) {
			n.start(ctx, field(request, 2))
			return nil, nil
		}),
		// How containerd 1.7 says the same.
		"StateChange": method(func(ctx context.Context, request []byte) ([]byte, error) {
			if number(request, 1) == eventStart {
				n.start(ctx, field(request, 3))
			}
			return nil, nil
		}),
	}
}

// start tells of a container that is made and does not run yet. It answers nothing:
// an error would keep the container from starting.
func (n *nri) start(ctx context.Context, container []byte) {
	id, pid := string(field(container, 1)), int(number(container, 12))
	if id != "" && pid > 0 {
		n.starting(ctx, id, pid)
	}
}

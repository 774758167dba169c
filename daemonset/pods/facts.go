package pods

import (
	"context"
	"fmt"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/errdefs"

	"github.com/podreload/podreload/daemonset"
)

// learn reads the facts of one container. What goes wrong hides that one only.
func (v *inventory) learn(ctx context.Context, id string) {
	record, err := v.records.Get(ctx, id)
	switch {
	case errdefs.IsNotFound(err): // deleted meanwhile
		v.forget(id)
	case err != nil:
		v.trouble[id] = err
	default:
		v.add(ctx, record)
	}
}

// add keeps what a record says of a container or a sandbox.
func (v *inventory) add(ctx context.Context, record containers.Container) {
	if data, ok := record.Extensions[sandboxExtension]; ok {
		// What is wrong with a sandbox is told where a container needs it.
		if box, err := decodeSandbox(record.ID, value(data)); err == nil {
			v.boxes[record.ID] = box
		}
		v.facts[record.ID] = nil
		return
	}
	data, ok := record.Extensions[containerExtension]
	if !ok {
		v.facts[record.ID] = nil // of no pod
		return
	}
	facts, err := v.describe(ctx, record, value(data))
	if err != nil {
		v.trouble[record.ID] = err
		return
	}
	v.facts[record.ID] = &facts
}

func (v *inventory) describe(ctx context.Context, record containers.Container, data []byte) (c daemonset.Container, err error) {
	m, err := decodeContainer(data)
	if err != nil {
		return c, err
	}
	box, err := v.box(ctx, m.SandboxID)
	if err != nil {
		return c, err
	}
	s, err := decodeSpec(value(record.Spec))
	if err != nil {
		return c, err
	}
	return s.container(record.ID, record.Runtime.Name, m, box), nil
}

// box finds a pod by its sandbox: as a container, which it always is with runc,
// or in containerd 2's sandbox store, where runtimes that are sandboxes
// themselves have it.
func (v *inventory) box(ctx context.Context, id string) (podSandbox, error) {
	if box, ok := v.boxes[id]; ok {
		return box, nil
	}
	data, err := v.sandboxMetadata(ctx, id)
	if err != nil {
		return podSandbox{}, fmt.Errorf("sandbox %s: %w", id, err)
	}
	box, err := decodeSandbox(id, data)
	if err != nil {
		return podSandbox{}, err
	}
	v.boxes[id] = box
	return box, nil
}

func (v *inventory) sandboxMetadata(ctx context.Context, id string) ([]byte, error) {
	record, err := v.records.Get(ctx, id)
	if err == nil {
		return value(record.Extensions[sandboxExtension]), nil
	}
	if !errdefs.IsNotFound(err) {
		return nil, err
	}
	stored, storeErr := v.sandboxes.Get(ctx, id)
	if storeErr != nil {
		// containerd 1.6 has no such store: the first error says more there.
		if errdefs.IsNotImplemented(storeErr) {
			return nil, err
		}
		return nil, storeErr
	}
	return value(stored.Extensions[storeExtension]), nil
}

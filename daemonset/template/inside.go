package template

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
)

// Inside answers what templates ask of the running container: its filesystem
// and its network, never the agent's. Each question is asked once in a render of
// a profile, whichever of its files ask it. An error means that the container
// could not be asked (it is gone, or the time is over), and fails the render.
type Inside interface {
	// FileExists is false only when there is no such file: any other error of
	// stat counts as true, as in confd.
	FileExists(path string) (bool, error)

	// LookupIP gives the addresses of a host as text, in any order. A name that
	// does not resolve has none, and that is no error.
	LookupIP(host string) ([]string, error)

	// LookupSRV gives the records in any order; none is no error.
	LookupSRV(service, proto, name string) ([]*net.SRV, error)

	// InterfaceAddrs gives the addresses of a network interface without their
	// masks, in the interface's order. No such interface: none.
	InterfaceAddrs(name string) ([]string, error)
}

// ErrNoContainer is wrapped by the error of a render that asked for something of
// a container when there is none behind it.
var ErrNoContainer = errors.New("there is no container to ask")

// maxQuestions bounds what one render of a profile asks a container.
const maxQuestions = 256

type question struct{ function, name string }

type answer struct {
	value any
	err   error
}

// askError is that the container could not be asked, which is no fault of the
// template.
type askError struct{ err error }

func (e *askError) Error() string { return "cannot ask the container: " + e.err.Error() }
func (e *askError) Unwrap() error { return e.err }

// ask puts a question to the container unless it has been asked before.
func ask[T any](e *execution, q question, call func(Inside) (T, error)) (T, error) {
	var none T
	e.asked.Inside = true
	if e.facts.Inside == nil {
		return none, fmt.Errorf("it asks the running container, and %w; render for a target, or leave the call out", ErrNoContainer)
	}
	known, ok := e.answers[q]
	if !ok {
		if err := e.tick(0); err != nil {
			return none, err
		}
		if len(e.answers) == maxQuestions {
			return none, fmt.Errorf("more than %d different questions to the container; narrow what the template ranges over", maxQuestions)
		}
		known.value, known.err = call(e.facts.Inside)
		if e.answers == nil {
			e.answers = map[question]answer{}
		}
		e.answers[q] = known
	}
	if known.err != nil {
		return none, &askError{known.err}
	}
	return known.value.(T), nil
}

func (e *execution) fileExists(path string) (bool, error) {
	return ask(e, question{"fileExists", path}, func(in Inside) (bool, error) { return in.FileExists(path) })
}

// lookupIP is sorted, since name servers shuffle.
func (e *execution) lookupIP(host string) ([]string, error) {
	addrs, err := ask(e, question{"lookupIP", host}, func(in Inside) ([]string, error) { return in.LookupIP(host) })
	addrs = slices.Clone(addrs) // `reverse` works in place
	slices.Sort(addrs)
	return addrs, err
}

func (e *execution) lookupIPV4(host string) ([]string, error) {
	return e.lookupVersion(host, true)
}

func (e *execution) lookupIPV6(host string) ([]string, error) {
	return e.lookupVersion(host, false)
}

func (e *execution) lookupVersion(host string, v4 bool) (found []string, err error) {
	addrs, err := e.lookupIP(host)
	for _, a := range addrs {
		if isV4(a) == v4 {
			found = append(found, a)
		}
	}
	return found, err
}

// lookupIfaceIPV4 is the first such address of a network interface, or "".
func (e *execution) lookupIfaceIPV4(name string) (string, error) {
	return e.firstAddr(name, isV4)
}

func (e *execution) lookupIfaceIPV6(name string) (string, error) {
	return e.firstAddr(name, func(a string) bool { return !isV4(a) })
}

func (e *execution) firstAddr(name string, fits func(string) bool) (string, error) {
	addrs, err := ask(e, question{"interface", name}, func(in Inside) ([]string, error) { return in.InterfaceAddrs(name) })
	for _, a := range addrs {
		if fits(a) {
			return a, nil
		}
	}
	return "", err
}

// lookupSRV is sorted by the records' text, as in confd.
func (e *execution) lookupSRV(service, proto, name string) ([]*net.SRV, error) {
	q := question{"lookupSRV", strconv.Quote(service) + strconv.Quote(proto) + name}
	records, err := ask(e, q, func(in Inside) ([]*net.SRV, error) { return in.LookupSRV(service, proto, name) })
	records = append([]*net.SRV{}, records...)
	text := func(r *net.SRV) string { return fmt.Sprintf("%s%d%d%d", r.Target, r.Port, r.Priority, r.Weight) }
	slices.SortStableFunc(records, func(a, b *net.SRV) int { return cmp.Compare(text(a), text(b)) })
	return records, err
}

func isV4(text string) bool {
	addr, err := netip.ParseAddr(text)
	return err == nil && addr.Unmap().Is4()
}

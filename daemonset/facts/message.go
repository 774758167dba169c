package facts

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	// maxUDP is how large an answer over UDP may be. Larger ones come in fragments, or over TCP.
	maxUDP = 1232

	// maxChain is how many aliases lead to a name at most.
	maxChain = 16

	// maxRecords is how many records of an answer are looked at: more than there can be, with 12 bytes each at least.
	maxRecords = 8192
)

var (
	errNotOurs  = errors.New("not an answer to the question")
	errRetryTCP = errors.New("the answer does not fit into UDP")
)

// question is one that is asked of a name server.
type question struct {
	dnsmessage.Question
	id uint16
}

// newQuestion makes a question. The error says that this is no domain name.
func newQuestion(name string, kind dnsmessage.Type, id uint16) (q question, message []byte, err error) {
	n, err := dnsmessage.NewName(name)
	if err != nil {
		return question{}, nil, err
	}
	q = question{dnsmessage.Question{Name: n, Type: kind, Class: dnsmessage.ClassINET}, id}
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: id, RecursionDesired: true})
	var extended dnsmessage.ResourceHeader
	for _, step := range []func() error{
		b.StartQuestions,
		func() error { return b.Question(q.Question) },
		b.StartAdditionals,
		func() error { return extended.SetEDNS0(maxUDP, dnsmessage.RCodeSuccess, false) },
		func() error { return b.OPTResource(extended, dnsmessage.OPTResource{}) },
	} {
		if err := step(); err != nil {
			return question{}, nil, err
		}
	}
	message, err = b.Finish()
	return q, message, err
}

// records are what an answer holds for the name.
type records struct {
	addrs    []netip.Addr
	services []*net.SRV
}

// read reads an answer. One to something else is errNotOurs; records of other names than the
// one asked for, and those that it is an alias of, do not count. No records and no error: there is no such
// name, or nothing of the kind.
func (q question) read(message []byte) (records, error) {
	var p dnsmessage.Parser
	h, err := p.Start(message)
	if err != nil {
		return records{}, fmt.Errorf("%w: %w", errNotOurs, err)
	}
	asked, err := p.Question()
	if err != nil || h.ID != q.id || !h.Response || asked.Type != q.Type || asked.Class != q.Class || !same(asked.Name, q.Name) {
		return records{}, errNotOurs
	}
	if err := p.SkipAllQuestions(); err != nil {
		return records{}, fmt.Errorf("%w: %w", errNotOurs, err)
	}
	switch {
	case h.Truncated:
		return records{}, errRetryTCP
	case h.RCode == dnsmessage.RCodeNameError:
		return records{}, nil
	case h.RCode != dnsmessage.RCodeSuccess:
		return records{}, fmt.Errorf("%w: it says %s", ErrNoAnswer, h.RCode)
	}
	found, err := q.collect(&p)
	if err != nil {
		return records{}, fmt.Errorf("%w: it says nonsense: %w", ErrNoAnswer, err)
	}
	return found, nil
}

// collect follows the aliases. They stand in order before what they lead to, so one time
// through will do.
func (q question) collect(p *dnsmessage.Parser) (records, error) {
	var found records
	name, links := q.Name, 0
	for range maxRecords {
		h, err := p.AnswerHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			return found, nil
		}
		if err != nil {
			return records{}, err
		}
		kind := h.Type
		if h.Class != dnsmessage.ClassINET || !same(h.Name, name) {
			kind = 0
		}
		switch {
		case kind == dnsmessage.TypeCNAME:
			r, err := p.CNAMEResource()
			if err != nil {
				return records{}, err
			}
			if links++; links > maxChain {
				return records{}, errors.New("too long a chain of aliases")
			}
			name = r.CNAME
		case kind == q.Type:
			if err := found.take(p, kind); err != nil {
				return records{}, err
			}
		default:
			if err := p.SkipAnswer(); err != nil {
				return records{}, err
			}
		}
	}
	return records{}, errors.New("too many records")
}

func (r *records) take(p *dnsmessage.Parser, kind dnsmessage.Type) error {
	switch kind {
	case dnsmessage.TypeA:
		a, err := p.AResource()
		if err != nil {
			return err
		}
		r.addrs = append(r.addrs, netip.AddrFrom4(a.A))
	case dnsmessage.TypeAAAA:
		a, err := p.AAAAResource()
		if err != nil {
			return err
		}
		r.addrs = append(r.addrs, netip.AddrFrom16(a.AAAA))
	case dnsmessage.TypeSRV:
		s, err := p.SRVResource()
		if err != nil {
			return err
		}
		target := s.Target.String()
		if !isDomainName(target) {
			return nil // a template would write it into a configuration
		}
		r.services = append(r.services, &net.SRV{Target: target, Port: s.Port, Priority: s.Priority, Weight: s.Weight})
	default:
		return p.SkipAnswer()
	}
	return nil
}

func same(a, b dnsmessage.Name) bool { return strings.EqualFold(a.String(), b.String()) }

// isDomainName knows names that are letters, digits, hyphens and underscores between dots: what
// package net lets through to its callers.
func isDomainName(name string) bool {
	label := 0
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-':
			label++
		case c == '.' && (label > 0 || name == "."):
			label = 0
		default:
			return false
		}
		if label > 63 {
			return false
		}
	}
	return name != "" && len(name) <= maxName
}

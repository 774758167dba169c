package facts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// LookupIP are the addresses of a host: those of the container's /etc/hosts if it is in it, else what its name
// servers say, IPv4 first. A name that does not exist has none; that no server
// had an answer is an error, which wraps ErrNoAnswer. It comes with the addresses of one kind where
// none had an answer as to the other.
func (f *Facts) LookupIP(host string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	found, err := ask(f, "look up the host "+strconv.Quote(host), func() ([]string, error) {
		if addr, err := netip.ParseAddr(host); err == nil {
			return add(nil, addr), nil
		}
		hosts, err := f.file(hostsPath, maxHosts)
		if err != nil {
			return nil, err
		}
		if found := findHost(hosts, host); len(found) > 0 || host == "" {
			return found, nil
		}
		got, err := f.resolve(host, dnsmessage.TypeA, dnsmessage.TypeAAAA)
		var all []string
		for _, addr := range got.addrs {
			all = add(all, addr)
		}
		return all, err
	})
	return slices.Clone(found), err // the caller sorts
}

// LookupSRV are the servers of a service, of the name _service._proto.name, or of name itself if
// both are empty; in the order of the answer.
func (f *Facts) LookupSRV(service, proto, name string) ([]*net.SRV, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if service != "" || proto != "" {
		name = "_" + service + "._" + proto + "." + name
	}
	found, err := ask(f, "look up the service "+strconv.Quote(name), func() ([]*net.SRV, error) {
		got, err := f.resolve(name, dnsmessage.TypeSRV)
		return got.services, err
	})
	return slices.Clone(found), err
}

// resolve asks for kinds of records of a name, and of those that the search list makes of it, until
// one has any.
func (f *Facts) resolve(name string, kinds ...dnsmessage.Type) (records, error) {
	if !isDomainName(name) {
		return records{}, nil
	}
	text, err := f.file(resolvPath, maxResolv)
	if err != nil {
		return records{}, err
	}
	conf := parseConfig(text)
	return onNetwork(f, func(ctx context.Context) (records, error) {
		var failed error
		for _, full := range conf.names(name) {
			found, err := f.resolveAll(ctx, conf, full, kinds)
			if len(found.addrs)+len(found.services) > 0 {
				return found, err
			}
			if failed == nil {
				failed = err
			}
			if ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) {
				break // nobody there: that will not be another with the next name
			}
		}
		return records{}, failed
	})
}

// resolveAll asks for all kinds of records of one name at once. What one question brings is there also where
// another fails.
func (f *Facts) resolveAll(ctx context.Context, conf config, name string, kinds []dnsmessage.Type) (records, error) {
	found, errs := make([]records, len(kinds)), make([]error, len(kinds))
	var group sync.WaitGroup
	for i, kind := range kinds {
		group.Go(func() { found[i], errs[i] = f.query(ctx, conf, name, kind) })
	}
	group.Wait()
	var all records
	for _, r := range found {
		all.addrs, all.services = append(all.addrs, r.addrs...), append(all.services, r.services...)
	}
	return all, errors.Join(errs...)
}

// query asks the name servers in turn. What one of them says that there is nothing of, there is
// nothing of.
func (f *Facts) query(ctx context.Context, conf config, name string, kind dnsmessage.Type) (records, error) {
	q, message, err := newQuestion(name, kind, randomID())
	if err != nil {
		return records{}, nil // with the search list it is too long: there is no such name
	}
	try := lookupTimeout / time.Duration(conf.attempts*len(conf.servers))
	for range conf.attempts {
		for _, server := range conf.servers {
			var found records
			if found, err = f.exchange(ctx, try, server, q, message); err == nil {
				return found, nil
			}
			err = fmt.Errorf("ask %s for %s: %w", server, name, err)
			if ctx.Err() != nil {
				return records{}, noAnswer(err)
			}
		}
	}
	return records{}, noAnswer(err)
}

func noAnswer(err error) error {
	if errors.Is(err, ErrNoAnswer) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrNoAnswer, err)
}

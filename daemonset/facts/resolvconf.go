package facts

import (
	"net/netip"
	"strconv"
	"strings"
)

// Bounds of what a container's resolv.conf may ask for. glibc takes 3 servers; the kubelet
// writes at most 32 search domains.
const (
	maxServers  = 3
	maxSearch   = 32
	maxNdots    = 15
	maxAttempts = 3
	maxName     = 254 // of a domain name, with its last dot: RFC 1035, 3.1
)

// config is what counts of a resolv.conf(5).
type config struct {
	servers  []netip.Addr
	search   []string // without dots at their ends
	ndots    int
	attempts int
}

func parseConfig(text []byte) config {
	c := config{ndots: 1, attempts: 2}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0][0] == '#' || fields[0][0] == ';' {
			continue
		}
		switch fields[0] {
		case "nameserver":
			addr, err := netip.ParseAddr(fields[1])
			if err == nil && len(c.servers) < maxServers {
				// A zone would be looked up among the agent's own interfaces.
				if addr = addr.Unmap(); addr.Zone() == "" {
					c.servers = append(c.servers, addr)
				}
			}
		case "domain", "search": // the last one counts
			c.search = nil
			for _, domain := range fields[1:min(len(fields), 1+maxSearch)] {
				if domain = strings.Trim(domain, "."); domain != "" {
					c.search = append(c.search, domain)
				}
			}
		case "options":
			for _, option := range fields[1:] {
				c.option(option)
			}
		}
	}
	if len(c.servers) == 0 {
		c.servers = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	}
	return c
}

// option knows those that bear on which names are asked for. How long to wait is not the
// container's to say.
func (c *config) option(option string) {
	name, value, _ := strings.Cut(option, ":")
	n, err := strconv.Atoi(value)
	if err != nil {
		return
	}
	switch name {
	case "ndots":
		c.ndots = min(max(n, 0), maxNdots)
	case "attempts":
		c.attempts = min(max(n, 1), maxAttempts)
	}
}

// names are those to ask for, in order and with their last dot: a name with enough dots is first tried as
// it is, another last.
func (c *config) names(name string) []string {
	if name == "" || name == "." || len(name) > maxName {
		return nil
	}
	if strings.HasSuffix(name, ".") {
		return []string{name}
	}
	var all []string
	for _, domain := range c.search {
		if full := name + "." + domain + "."; len(full) <= maxName {
			all = append(all, full)
		}
	}
	if full := name + "."; len(full) <= maxName {
		if strings.Count(name, ".") >= c.ndots {
			return append([]string{full}, all...)
		}
		all = append(all, full)
	}
	return all
}

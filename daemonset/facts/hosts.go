package facts

import (
	"bytes"
	"net/netip"
	"strings"
)

// maxAddrs is how many addresses one answer has at most: more than a message of DNS can hold, whose 64 KiB have room
// for 4095 of IPv4 (RFC 1035, 4.1.3).
const maxAddrs = 8192

// findHost looks a name up in a hosts file: hosts(5). All lines that have it count, in their
// order.
func findHost(hosts []byte, name string) []string {
	name = strings.TrimSuffix(name, ".")
	var found []string
	for line := range bytes.Lines(hosts) {
		line, _, _ = bytes.Cut(line, []byte("#"))
		fields := bytes.Fields(line)
		if len(fields) < 2 {
			continue
		}
		addr, err := netip.ParseAddr(string(fields[0]))
		if err != nil {
			continue
		}
		for _, field := range fields[1:] {
			if strings.EqualFold(strings.TrimSuffix(string(field), "."), name) {
				found = add(found, addr)
				break
			}
		}
	}
	return found
}

// add adds an address that is not among them, as package net would write it.
func add(all []string, addr netip.Addr) []string {
	text := addr.Unmap().WithZone("").String()
	for _, have := range all {
		if have == text {
			return all
		}
	}
	if len(all) == maxAddrs {
		return all
	}
	return append(all, text)
}

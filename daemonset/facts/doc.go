// Package facts answers what a template asks of the container that its file is for: whether a
// file is there, what a name resolves to, which addresses an interface has, what
// number a user has. The answers are the container's, never the agent's: its own /etc/hosts,
// resolv.conf, passwd and group, read by the same crossing that files go in by, and its own network,
// in which the sockets are made.
//
// A [Facts] is for one pass over one container. It remembers its answers, failures too, so that
// a template sees one world however often it asks.
//
// Names are resolved as Go's own resolver does, which is what confd's templates have known:
// the hosts file first, then A and AAAA by DNS with the search list of resolv.conf. Package
// net cannot be used for it, since it reads the files of whoever asks. The messages are read and
// written by golang.org/x/net/dns/dnsmessage, the part of Go's resolver that does so: it adds 90 KB
// to the program, github.com/miekg/dns 690 KB, and what this package has to add is a
// parser of resolv.conf and a question over a socket. nsswitch.conf is not read, as
// by musl.
//
// What it does not do: it changes nothing inside, caches nothing for a later pass, and knows nothing
// of templates. The container's hostname and environment are in its record already.
//
// Goroutines: two for each question asked of DNS, and the thread that nsenter lends; they end with
// the call.
package facts

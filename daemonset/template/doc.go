// Package template turns a snapshot of etcd and the facts of a container into
// the files that container is to have. It reads confd's template resources
// (TOML files below conf.d, templates below templates), groups them into
// profiles, and renders with confd's functions and confd's results: a confd
// tree works unchanged. Where the original confd would panic, or where its
// result depends on map order, there is an error or a fixed order instead.
//
// # What it does not do
//
// It opens no network connection and reads no file but those two folders, and
// these only in [Load]. It does not decide when to render, compares nothing
// with what is in place, and runs no command. Functions that need the
// container's filesystem or network are not there yet: a template that uses
// one is refused when it is loaded.
//
// # Goroutines
//
// It starts none. A [Config] and everything below it is immutable after Load;
// any number of goroutines may render from it at once.
//
// # Bounds
//
// Sizes of resources, templates and rendered files are capped, as are the
// strings, lists and maps that functions return, the nesting of control
// structures and the depth to which templates call each other. Every range body
// and every template body begins with a look at a deadline, so that no loop
// renders for ever. Not bounded yet is the memory of one call of printf whose
// format uses an argument or a width many times.
package template

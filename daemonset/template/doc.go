// Package template turns a snapshot of etcd and the facts of a container into
// the files that container is to have. It reads confd's template resources
// (TOML files below conf.d, templates below templates), groups them into
// profiles, and renders with confd's functions and confd's results: a confd
// tree works unchanged. Where the original confd would panic, or where its
// result depends on map order, there is an error or a fixed order instead. What
// confd's living fork added is there too; where the two differ, the original's
// results stand. cmd/podreload/README.md has the tables.
//
// # The way of a render
//
// [Load] reads a confdir, [Profile.Bind] writes out what a profile takes from a
// pod, [Bound.Keys] are the keys to read, and [Bound.Render] makes the files.
// Pods for which [Bound.ID] is equal can share a feed of keys; if
// [Rendered.Asked] is empty they can share the files, too. [Rendered.Parts] are those
// files that depended on keys alone, with what each has read: [Bound.RenderWith] takes them
// as they are until one of these keys changes.
//
// # What it does not do
//
// It opens no network connection and reads no file but those two folders, and
// these only in [Load]. It does not decide when to render, compares nothing
// with what is in place, and runs no command. What a template asks of the
// running container, its files and its network, goes through [Inside], which
// the caller provides.
//
// # Goroutines
//
// It starts none. A [Config] and everything below it is immutable after Load;
// any number of goroutines may bind and render from it at once. Inside is called
// by the goroutine that renders.
//
// # Bounds
//
// Sizes of resources, templates and rendered files are capped, as are the
// strings, lists and maps that functions return, the nesting of control
// structures and the depth to which templates call and include each other, the
// work of a regular expression, and the questions to a container. printf is
// measured before it is called. Every range body and every template body begins
// with a look at a deadline and, once a render has run for a while, at the heap,
// and so does every function that makes much of little: no template renders for
// ever or holds the memory of all others.
package template

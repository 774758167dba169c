// Package inside is the shim's half of a crossing: it receives one request and
// the processes that it concerns, joins the namespaces, has the request handled
// there, signals from inside, answers, and waits to be ended.
//
// Which part of the process is where decides what a container can get hold of:
//
//   - The process stays in the node's PID namespace, where no container sees it.
//     All its threads but one stay in the node's mount namespace as well.
//   - The thread that is woken by the request, locked from then on, joins the container's mount
//     namespace, does the files, and answers.
//   - The messenger, a process forked ahead, while the shim waits for its request, has a page of its own, a piece of a
//     stack, the program, and one end of a socket. Once there is a signal to send it joins the namespaces too. setns(2)
//     with CLONE_NEWPID does not move it, so no container sees it either: it only decides where its children are born.
//     It gives up all else then: its one descriptor is the pidfd of the process to signal, its one capability is
//     CAP_KILL, a seccomp filter leaves it little more than that signal, its root is the container's, its user is nobody else's
//     and may have two processes, and it is not dumpable.
//   - The other of the two is its one child, cloned without exec, and born in the container's
//     PID namespace, and in its network, IPC, UTS and cgroup namespaces. It has what the messenger has, and shares its memory (vfork). It
//     sends the signal and exits with the errno.
//
// A shim started by exec inside the container's PID namespace instead would
// hand the node's root to a container with CAP_SYS_PTRACE, by /proc/PID/root. What such a container makes of the child, and
// through their memory of the messenger, is no more than the two are left with: signals to that one process, and an end of their own.
//
// Other ways are not taken:
//
//   - One shim that stays, and forks for each request, would save the start of a process, some
//     2 ms (testenv/README.md). But Go cannot fork without exec and go on: only the thread that forks is left in the child, with
//     whatever locks of the runtime others held. And one that serves several requests carries what a container has done
//     to it on to the next. So a fresh process is started ahead, while nobody waits, and serves one request.
//   - A child that shares the shim's memory would need no messenger. But
//     it is the one process that a container sees and may trace: it would hand the container all of the shim.
//   - A child with a memory of its own, cloned by the messenger or by a thread of the shim, is what it was before: making and taking down that memory
//     was half of a crossing, however little was in it.
//
// What it does not do: it does not know what a request means, and links nothing
// of the agent. Import it from a program that does nothing else: it locks the
// main thread at start.
//
// Goroutines: the main one. The kernel kills the process group when the agent's end of a pipe closes. What it takes to
// tear the processes down is not to delay the answer.
package inside

// Package inside is the shim's half of a crossing: it receives one request and
// the processes that it concerns, joins the namespaces, has the request handled
// there, signals from inside, answers, and waits to be ended.
//
// Which part of the process is where decides what a container can get hold of:
//
//   - The process stays in the node's PID namespace, where no container sees it.
//     All its threads but two stay in the node's mount namespace as well.
//   - The thread that is woken by the request, locked from then on, joins the container's mount
//     namespace, does the files, and answers.
//   - The messenger, another locked thread with a descriptor table of its own, is
//     stripped ahead, while the shim waits for its request, of all that it can do
//     without. Once there is a signal to send it joins the namespaces too. setns(2)
//     with CLONE_NEWPID does not move it: it only decides where its children are born.
//   - One child of the messenger's, cloned without exec, is born in the container's
//     PID namespace, and in its network, IPC, UTS and cgroup namespaces. It is a single thread, its root is the container's, its one
//     descriptor is the pidfd of the process that it signals, its one capability is
//     CAP_KILL, a seccomp filter leaves it little more than that signal, and it is
//     not dumpable. It sends the signal and exits with the errno.
//
// A shim started by exec inside the container's PID namespace instead would
// hand the node's root to a container with CAP_SYS_PTRACE, by /proc/PID/root.
//
// Other ways would be quicker, and are not taken:
//
//   - One shim that stays, and forks for each request, would save the start of a process, some
//     2 ms (testenv/README.md). But Go cannot fork without exec and go on: only the thread that forks is left in the child, with
//     whatever locks of the runtime others held. And one that serves several requests carries what a container has done
//     to it on to the next. So a fresh process is started ahead, while nobody waits, and serves one request.
//   - A child that shares the shim's memory (CLONE_VM, as vfork) would save the copying of page tables. But
//     it is the one process that a container sees and may trace: it would hand the container all of the shim. It
//     gets a memory of its own that has hardly a page in it instead: see prepare.
//
// What it does not do: it does not know what a request means, and links nothing
// of the agent. Import it from a program that does nothing else: it locks the
// main thread at start.
//
// Goroutines: the main one, the messenger's, and one that waits for the agent's
// end of the socket to close and then kills the process. There is no other end
// than that: what it takes to tear the process down is not to delay the answer.
package inside

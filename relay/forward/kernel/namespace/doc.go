// Package namespace makes Linux network namespaces that are joined by veth pairs:
// small networks in which the kernel's real code forwards packets, for tests and for
// the benchmark. It needs root's rights. It is not the simulated internet, which is
// topology/sim and needs none.
//
// A namespace lives as long as something refers to it: this process, until Close, a
// socket in it, or a process in it. Nothing remains in the system.
//
// Start reading at New and Join.
package namespace

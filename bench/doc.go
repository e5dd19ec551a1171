// Package bench measures relays side by side: what a packet costs, how many packets
// a second a relay carries, how long they take, and how that changes with the number
// of flows; and what a media processor's packet costs by the number of its receivers
// (package fan).
//
// Every subject (package subject) is measured by the same load (package load) from
// the same generator (package loader), in processes of their own on fixed CPUs. In
// each round all subjects are measured one after another, so that what else happens
// on the machine meets them alike; figures are medians over the rounds, and ratios
// are medians of the ratios within each round.
//
// What it is not: a test of correctness, or of real networks. Clients, relay and peers
// are hosts of their own, network namespaces joined by veth, where the system allows it,
// and otherwise all on loopback; the report says which. Neither has a network card's
// interrupts, nor offload but the kernel's own.
//
// Start reading at Run and Options; then study.go, which says what is measured, and
// session.go, which measures one thing.
package bench

// Package dns is the DNS of the simulated internet: a server that is
// authoritative for a fixed set of names, and a client that asks one server.
//
// The server ([Serve], [ServeListener]) knows A and AAAA records, answers
// NXDOMAIN for names that it does not know, and refers to nobody: it does not
// recurse, and there are no zone transfers, no updates and no DNSSEC. The client
// ([Lookup]) asks for both kinds of address at once over UDP, repeats what gets
// lost, and asks again over TCP when an answer was truncated (RFC 1035; RFC
// 7766). Both work on any net.PacketConn and net.Conn, simulated or real.
package dns

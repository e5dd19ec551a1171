// Package topology describes networks as data: sites, subnets, NATs by RFC 4787,
// firewalls, VPNs, links and hosts. It loads them from YAML, keeps the catalogue
// of the documented call-flow topologies, draws them, and says which documented
// flows a packet's way through a network belongs to.
//
// It runs nothing: package topology/sim does. Start reading at Network.
//
// Sources: "Call networking internals" and "Call flow topologies" of Azure
// Communication Services; RFC 4787, 5382, 5508.
package topology

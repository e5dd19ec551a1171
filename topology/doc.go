// Package topology describes networks as data: sites and their subnets, routers,
// NATs and firewalls, the VPNs between them, the links that join them, and the
// hosts on which a call's participants and services run. It also says which of the
// numbered flows of "Call flow topologies" (Azure Communication Services
// documentation) a packet's way crosses.
//
// It runs nothing: package sim makes a network of a Network. It knows no calls:
// scenarios does.
//
// NAT behaviour is described in the terms of RFC 4787 (UDP) and RFC 5382 (TCP).
// The catalogue, catalog/*.yaml, holds the article's own topologies; each file
// says which figure it reproduces, and why it is as it is.
//
// Start reading at Network, then Parse and Classify.
package topology

// Package server is callpath's running server: the transport relay (relay/turn), the
// signaling controller (signaling) and the issuer of tokens (signaling/identity) on
// the machine's own sockets, for real clients, with what an operator needs around
// them.
//
// Beside these stand the media processor of meetings (relay/processor; processor.go
// joins it to the controller), the policies of meetings (meetings_config.go), and the
// chats with their store and the customer's keys (chat.go).
//
// It is safe and complete with no configuration: it listens on loopback, makes a
// certificate authority, a certificate and secrets in its state directory on first
// start and keeps them, and denies peers by relay/turn's defaults. default.yaml is
// the whole configuration with its documentation, and the source of the defaults.
//
// What it is not: it holds no protocol. Whatever a client can notice is in the
// packages below it; here are configuration (config.go, identity_config.go,
// setting.go), certificates and secrets (state.go, keys.go), who may sign in
// (people.go, identity.go), what changes while it runs (reload.go), sockets
// (listen.go), the admin endpoint (admin.go, metrics.go), the operator's socket
// (control.go), the audit log (audit.go) and the life of the process: New opens
// everything, Run serves, drains and reports.
//
// Start reading at Server.
package server

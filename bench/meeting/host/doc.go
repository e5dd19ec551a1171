// Package host is the server that a load is put on when none is named: a signaling
// controller over HTTPS and WebSocket and a media processor, and a transport relay for
// loads through one, on this machine's loopback and in a process of their own, so that
// what they spend can be told from what the generator spends.
//
// Serve is the process, Start starts it. It keeps nothing on disk, and its users exist for
// one run.
package host

import "github.com/callpath/callpath/relay/processor"

// Config says what the server is for.
type Config struct {
	// Users is how many may sign in: User(0) to User(Users-1), with Secret.
	Users  int    `json:"users"`
	Secret string `json:"secret"`
	// Relay starts a transport relay over UDP, TCP and TLS too.
	Relay bool `json:"relay,omitempty"`
}

// Ready says where the server is.
type Ready struct {
	// URL is the signaling controller's, CA its authority in PEM.
	URL string `json:"url"`
	CA  []byte `json:"ca"`
}

// Stats are figures since the start.
type Stats struct {
	Processor processor.Stats `json:"processor"`
	// Relayed are the payloads that the transport relay has passed on.
	Relayed uint64 `json:"relayed,omitempty"`
}

// order is one of the generator's, and answer what the process says to it; Ready comes
// first and by itself.
type (
	order struct {
		Stats bool `json:"stats"`
	}
	answer struct {
		Ready *Ready `json:"ready,omitempty"`
		Stats *Stats `json:"stats,omitempty"`
		Error string `json:"error,omitempty"`
	}
)

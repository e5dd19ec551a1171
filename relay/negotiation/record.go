package negotiation

import (
	"net/netip"
	"time"
)

// Record is all that was seen of one leg: one endpoint's ICE, DTLS and SRTP
// towards its peer. Everything in it was read from packets or told by the
// endpoint's stacks; nothing is copied from configuration.
type Record struct {
	// Leg names the endpoint, for example a participant.
	Leg string `json:"leg"`
	// Started is when the first packet of the leg was seen.
	Started time.Time `json:"started"`
	ICE     ICE       `json:"ice"`
	TURN    []TURN    `json:"turn,omitempty"`
	DTLS    []DTLS    `json:"dtls,omitempty"`
	SRTP    []SRTP    `json:"srtp,omitempty"`
	// Descriptions are the offers and answers that were told, in their order.
	Descriptions []Description `json:"descriptions,omitempty"`
	// Verdict says in one line how far the set-up came and where it stopped.
	Verdict string `json:"verdict"`
	// Problems are findings in words, for example a fingerprint that is not in
	// the SDP.
	Problems []string `json:"problems,omitempty"`
}

// Description is an offer or answer (RFC 8866). Passwords of ICE and keys of SDES are
// not in it: a word stands in their place.
type Description struct {
	// Side is "local" or "remote", Kind "offer", "pranswer" or "answer".
	Side string `json:"side"`
	Kind string `json:"kind"`
	SDP  string `json:"sdp"`
}

// Fingerprints are those that the description promises (RFC 8122), as Certificate
// writes them.
func (d Description) Fingerprints() []string {
	var all []string
	for _, f := range parseDescription(d.SDP).fingerprints {
		all = append(all, f.String())
	}
	return all
}

// ICE is what happened in RFC 8445's connectivity establishment.
type ICE struct {
	// Role is "controlling" or "controlled", from the checks' attributes.
	Role       string      `json:"role,omitempty"`
	LocalUfrag string      `json:"local_ufrag,omitempty"`
	PeerUfrag  string      `json:"peer_ufrag,omitempty"`
	Local      []Candidate `json:"local,omitempty"`
	Remote     []Candidate `json:"remote,omitempty"`
	Checks     []Check     `json:"checks,omitempty"`
	Selected   *Pair       `json:"selected,omitempty"`
	// Why says why the selected pair won, naming the better pairs that failed.
	Why string `json:"why,omitempty"`
	// Restarts counts changes of credentials after the first.
	Restarts int `json:"restarts"`
	// Consent counts the requests on pairs that had already succeeded, which
	// keep the consent to send (RFC 7675); they are not among Checks.
	Consent Consent `json:"consent"`
}

// CheckCounts counts the checks of the leg, those of them that succeeded, and the
// peer's. What only keeps consent is not among them.
func (i ICE) CheckCounts() (sent, answered, received int) {
	for _, c := range i.Checks {
		switch {
		case c.Direction != directionName(true):
			received++
		case c.Result == succeeded:
			answered++
			sent++
		default:
			sent++
		}
	}
	return sent, answered, received
}

// Consent counts the Binding requests that come after a pair's first success.
type Consent struct {
	Sent     uint64 `json:"sent"`
	Answered uint64 `json:"answered"`
	Received uint64 `json:"received"`
}

// Candidate is an ICE candidate (RFC 8445, section 5.1).
type Candidate struct {
	// Type is host, srflx, prflx or relay.
	Type     string         `json:"type"`
	Address  netip.AddrPort `json:"address"`
	Related  netip.AddrPort `json:"related,omitzero"`
	Protocol string         `json:"protocol"`
	// RelayProtocol is how a relay candidate's client reaches the relay: udp,
	// tcp, tls or dtls.
	RelayProtocol string `json:"relay_protocol,omitempty"`
	Priority      uint32 `json:"priority"`
	Foundation    string `json:"foundation,omitempty"`
}

// Check is one connectivity check: a Binding request on a pair and its result.
type Check struct {
	Time    time.Time      `json:"time"`
	Local   netip.AddrPort `json:"local"`
	Remote  netip.AddrPort `json:"remote"`
	Relayed bool           `json:"relayed"`
	// Direction is "sent" or "received".
	Direction    string `json:"direction"`
	UseCandidate bool   `json:"use_candidate"`
	// Result is "succeeded", "no answer", or an error code with its reason.
	Result string `json:"result"`
	// Mapped is the XOR-MAPPED-ADDRESS of the response.
	Mapped netip.AddrPort `json:"mapped,omitzero"`
	// RTT is that of a check that was sent, and sent once: with retransmissions
	// nobody knows which was answered.
	RTT time.Duration `json:"rtt,omitempty"`
	// Sent counts transmissions, retransmissions included.
	Sent int `json:"sent"`
}

// Pair is a candidate pair.
type Pair struct {
	Local     Candidate `json:"local"`
	Remote    Candidate `json:"remote"`
	Nominated bool      `json:"nominated"`
}

// TURN is one allocation, as the packets between client and server show it
// (RFC 8656).
type TURN struct {
	Server   netip.AddrPort `json:"server"`
	Client   netip.AddrPort `json:"client"`
	Protocol string         `json:"protocol"`
	Username string         `json:"username,omitempty"`
	Realm    string         `json:"realm,omitempty"`
	Relayed  netip.AddrPort `json:"relayed,omitzero"`
	Mapped   netip.AddrPort `json:"mapped,omitzero"`
	Lifetime time.Duration  `json:"lifetime,omitempty"`
	// Peers holds the XOR-PEER-ADDRESS of each permission or channel.
	Peers    []netip.AddrPort          `json:"peers,omitempty"`
	Channels map[uint16]netip.AddrPort `json:"channels,omitempty"`
	// Errors are refusals, for example "CreatePermission 403 Forbidden".
	Errors []string `json:"errors,omitempty"`
	// SentBytes and ReceivedBytes count relayed payload.
	SentBytes     uint64 `json:"sent_bytes"`
	ReceivedBytes uint64 `json:"received_bytes"`
	Deleted       bool   `json:"deleted"`
}

// DTLS is one handshake (RFC 6347) with the extension of RFC 5764.
type DTLS struct {
	Local  netip.AddrPort `json:"local"`
	Remote netip.AddrPort `json:"remote"`
	// Role is the leg's: "client" (active) or "server" (passive).
	Role string `json:"role"`
	// Setup holds the SDP attribute on each side, local first.
	Setup [2]string `json:"setup"`
	// Version is the negotiated one, for example "DTLS 1.2".
	Version         string   `json:"version,omitempty"`
	VersionsOffered []string `json:"versions_offered,omitempty"`
	// Cipher suites, groups, schemes and profiles have their IANA names.
	CipherSuite          string   `json:"cipher_suite,omitempty"`
	CipherSuitesOffered  []string `json:"cipher_suites_offered,omitempty"`
	Group                string   `json:"group,omitempty"`
	GroupsOffered        []string `json:"groups_offered,omitempty"`
	SignatureScheme      string   `json:"signature_scheme,omitempty"`
	SignaturesOffered    []string `json:"signatures_offered,omitempty"`
	SRTPProfile          string   `json:"srtp_profile,omitempty"`
	SRTPProfilesOffered  []string `json:"srtp_profiles_offered,omitempty"`
	MKI                  string   `json:"mki,omitempty"`
	ExtendedMasterSecret bool     `json:"extended_master_secret"`
	// Certificates are those seen on the wire, the leg's own first.
	Own  *Certificate `json:"own_certificate,omitempty"`
	Peer *Certificate `json:"peer_certificate,omitempty"`
	// Flights are the messages in the order of RFC 6347, figure 1.
	Flights []Flight `json:"flights,omitempty"`
	// Retransmissions counts handshake messages seen more than once.
	Retransmissions int `json:"retransmissions"`
	// Alerts are in words, with the side that sent each.
	Alerts []string `json:"alerts,omitempty"`
	// Complete is true when both Finished messages were seen, or the stack
	// reported the handshake as done.
	Complete bool          `json:"complete"`
	Duration time.Duration `json:"duration,omitempty"`
}

// Certificate is an end-entity certificate as it appeared in a handshake, beside
// what the SDP promised.
type Certificate struct {
	Subject string `json:"subject,omitempty"`
	// Key is the kind and size of the public key, for example "ECDSA P-256".
	Key string `json:"key"`
	// Signature is the algorithm that signed the certificate.
	Signature string    `json:"signature"`
	NotAfter  time.Time `json:"not_after"`
	// Fingerprint is computed with the hash that the SDP names (RFC 8122).
	Fingerprint string `json:"fingerprint"`
	// Promised is the SDP's fingerprint; empty when there was none.
	Promised string `json:"promised,omitempty"`
	Matched  bool   `json:"matched"`
}

// Flight is a group of handshake messages sent together.
type Flight struct {
	Time     time.Time `json:"time"`
	From     string    `json:"from"` // "client" or "server"
	Messages []string  `json:"messages"`
}

// SRTP is one stream, keyed by SSRC and direction (RFC 3711).
type SRTP struct {
	SSRC uint32 `json:"ssrc"`
	// Direction is "sent" or "received".
	Direction   string    `json:"direction"`
	PayloadType uint8     `json:"payload_type"`
	First       time.Time `json:"first"`
	Last        time.Time `json:"last"`
	Packets     uint64    `json:"packets"`
	Bytes       uint64    `json:"bytes"`
	// Lost counts gaps in the sequence, at the receiver; it is 0 for what is
	// sent.
	Lost uint64 `json:"lost"`
	// Jitter is that of RFC 3550, section 6.4.1, when the clock rate is known.
	Jitter          time.Duration `json:"jitter,omitempty"`
	RolloverCounter uint32        `json:"rollover_counter"`
	// Replayed counts packets whose index was seen before. A network that
	// doubles packets looks the same as somebody who replays them; in what is
	// sent they are an endpoint's own retransmissions.
	Replayed uint64 `json:"replayed"`
	// AuthFailures counts packets whose tag did not verify. It is known only
	// where the session's keys were at hand; Verified counts those that did.
	AuthFailures uint64 `json:"auth_failures"`
	Verified     uint64 `json:"verified"`
	// RTCP counts the control packets of the same sender. A receiver that sends
	// no media has only these.
	RTCP RTCP `json:"rtcp"`
}

// RTCP counts SRTCP packets (RFC 3711, section 3.4); the fields are as in SRTP.
type RTCP struct {
	Packets      uint64 `json:"packets"`
	Bytes        uint64 `json:"bytes"`
	Replayed     uint64 `json:"replayed"`
	AuthFailures uint64 `json:"auth_failures"`
	Verified     uint64 `json:"verified"`
}

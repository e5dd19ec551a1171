package language

import (
	"reflect"
	"slices"
	"strings"

	"github.com/callpath/callpath/topology"
)

// Scenario is one scenario file. One from Load or Parse has been validated: every
// name in it points somewhere.
type Scenario struct {
	// Name is the identifier; for a file of the library that of the file.
	Name        string `yaml:"scenario"`
	Title       string `yaml:"title"`
	Source      string `yaml:"source,omitempty"`
	Description string `yaml:"description,omitempty"`
	// Seed makes the network's chances repeatable; 1 when absent.
	Seed uint64 `yaml:"seed,omitempty"`
	// Timeout bounds the whole run; 60 s when absent.
	Timeout Duration `yaml:"timeout,omitempty"`
	// Network is the file's topology, a catalogue entry's name or an inline
	// network: a copy of this scenario's own, with Before not yet applied.
	Network *topology.Network `yaml:"-"`
	// Before are changes to the network before anything starts.
	Before []Change `yaml:"before,omitempty"`
	// Relay configures the transport relay.
	Relay Relay `yaml:"relay,omitempty"`
	// Policies are those of the organisation, when the steps begin.
	Policies Policies `yaml:"policies,omitempty"`
	// DataLossPrevention are the rules for the chat.
	DataLossPrevention []ProtectionRule `yaml:"data-loss-prevention,omitempty"`
	// LobbyTimeout is how long somebody waits in a lobby at most; the controller's
	// default, which is longer than any run, when zero.
	LobbyTimeout Duration `yaml:"lobby-timeout,omitempty"`
	// Participants are in the order of the file's mapping.
	Participants []Participant `yaml:"-"`
	Steps        []Step        `yaml:"steps"`
	Expect       Expect        `yaml:"expect"`

	// File is where it came from.
	File string `yaml:"-"`
	// Lines holds the line of each expectation in the file, by its path, for
	// example "expect.flows" or "expect.participants.alice.flows". It is nil for
	// a scenario made by hand.
	Lines map[string]int `yaml:"-"`
}

// MustConnect is true when the scenario expects media to flow: it says so, or it
// says nothing of the outcome and waits for media.
func (s *Scenario) MustConnect() bool {
	if s.Expect.Call != "" {
		return s.Expect.Call == CallConnected
	}
	return slices.ContainsFunc(s.Steps, func(step Step) bool { return step.Connect != nil })
}

// Relay configures the transport relay of a run; the zero Relay is the safe
// default.
type Relay struct {
	// Allow and Deny are peer addresses over the safe defaults: addresses,
	// prefixes, or names of sites, hosts or subnets ("site/subnet").
	Allow []string `yaml:"allow,omitempty"`
	Deny  []string `yaml:"deny,omitempty"`
	// AllocationsPerUser is a quota; zero is the relay's default.
	AllocationsPerUser int `yaml:"allocations-per-user,omitempty"`
}

// Participant is a person's client in the call.
type Participant struct {
	// Name is the key in the file's mapping of participants.
	Name string `yaml:"-"`
	// Host is a client host of the network.
	Host string `yaml:"host"`
	// Client is "acs" (when absent), "teams", or, in a meeting without media,
	// "pstn" for a caller from the telephone network.
	Client string `yaml:"client,omitempty"`
	// Person is what somebody is to the organisation of the meetings: member,
	// guest, trusted or anonymous. When absent, users of Teams are members, and all
	// others anonymous.
	Person string `yaml:"person,omitempty"`
	// Media are what it sends: opus, pcmu, vp8 or h264; opus and vp8 when
	// absent.
	Media []string `yaml:"media,omitempty"`
	// Screen is the codec of a screen that it shares beside, in a conference.
	Screen string `yaml:"screen,omitempty"`
	// Mix asks the media processor for one mixed stream of audio.
	Mix bool `yaml:"mix,omitempty"`
	// Slots is how many others of each kind of media it takes at once; all when
	// zero.
	Slots int `yaml:"slots,omitempty"`
	// ICE is "all" (when absent) or "relay" (RFC 8829, section 3.5.3).
	ICE string `yaml:"ice,omitempty"`
	// Transports are those tried towards the relay, of udp, tcp and tls; all
	// when absent.
	Transports []string `yaml:"transports,omitempty"`
	DTLS       DTLS     `yaml:"dtls,omitempty"`
	// SRTPProfiles are those offered, in order: aead-aes-256-gcm,
	// aead-aes-128-gcm, aes-cm-128-hmac-sha1-80. All when absent.
	SRTPProfiles []string `yaml:"srtp-profiles,omitempty"`
	// Fingerprint is "right" (when absent) or "wrong": the SDP promises another
	// certificate than the handshake shows.
	Fingerprint string `yaml:"fingerprint,omitempty"`
	// Credential is "valid" (when absent), "expired" or "forged": that of the
	// transport relay.
	Credential string `yaml:"credential,omitempty"`
	// TURNClient is "v5" (when absent) or "v3", the older client.
	TURNClient string `yaml:"turn-client,omitempty"`
	// Peer, when set, is an address to which the participant asks the relay for
	// a permission once it has an allocation, beside its call.
	Peer string `yaml:"ask-permission-for,omitempty"`
}

// DTLS says how a participant negotiates.
type DTLS struct {
	// Stack is "v3" (when absent) or "v2", the older endpoint.
	Stack string `yaml:"stack,omitempty"`
	// Setup is the role that it takes when it answers: "active" (when absent)
	// or "passive" (RFC 8842).
	Setup string `yaml:"setup,omitempty"`
	// Certificate is "ecdsa" (P-256, when absent) or "rsa" (2048 bits).
	Certificate string `yaml:"certificate,omitempty"`
	// CipherSuites are IANA names; the stack's own when absent.
	CipherSuites []string `yaml:"cipher-suites,omitempty"`
}

// Step is one thing that the scenario does; exactly one field is set. In a file a
// step is a mapping with one key, for example "- call: {from: alice, to: bob}".
type Step struct {
	// Call sends the invite; Answer and Reject wait for it first.
	Call   *Call   `yaml:"call,omitempty"`
	Answer *Answer `yaml:"answer,omitempty"`
	Reject *Reject `yaml:"reject,omitempty"`
	// Connect waits until media has arrived on both sides. A run that never
	// gets there goes on with its next step when Within has passed.
	Connect *Connect `yaml:"connect,omitempty"`
	// Hold and Resume renegotiate (RFC 3264, section 8.4); Mute and Unmute
	// stop and start sending without.
	Hold   *One `yaml:"hold,omitempty"`
	Resume *One `yaml:"resume,omitempty"`
	Mute   *One `yaml:"mute,omitempty"`
	Unmute *One `yaml:"unmute,omitempty"`
	Hangup *One `yaml:"hangup,omitempty"`
	// Restart renegotiates with an ICE restart (RFC 8445, section 9).
	Restart *One    `yaml:"restart-ice,omitempty"`
	Wait    *Wait   `yaml:"wait,omitempty"`
	Change  *Change `yaml:"change,omitempty"`

	// Meeting and Group make a conference, Join and Leave are a participant's own
	// wish; see their types. Reject, above, is also for the lobby.
	Meeting *Meeting `yaml:"meeting,omitempty"`
	Group   *Group   `yaml:"group,omitempty"`
	Join    *Join    `yaml:"join,omitempty"`
	Leave   *One     `yaml:"leave,omitempty"`
	Admit   *Admit   `yaml:"admit,omitempty"`
	Remove  *Remove  `yaml:"remove,omitempty"`
	Role    *Role    `yaml:"role,omitempty"`
	// Options is the organizer's change, Policies the administrator's.
	Options  *SetOptions `yaml:"options,omitempty"`
	Policies *Policies   `yaml:"policies,omitempty"`
	// End ends the meeting for all.
	End    *One    `yaml:"end,omitempty"`
	Chat   *Chat   `yaml:"chat,omitempty"`
	Edit   *Edit   `yaml:"edit,omitempty"`
	Delete *Delete `yaml:"delete,omitempty"`
	Read   *Read   `yaml:"read,omitempty"`
	// CustomerKey is an act of the organisation's keeper of keys.
	CustomerKey *CustomerKey `yaml:"customer-key,omitempty"`

	// Line is where the step stands in the file.
	Line int `yaml:"-"`
}

// Kind is the step's key in the file.
func (s Step) Kind() string {
	v := reflect.ValueOf(s)
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Pointer && !f.IsNil() {
			kind, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
			return kind
		}
	}
	return ""
}

type (
	// Call is the invite of one participant to another.
	Call struct {
		From string `yaml:"from"`
		To   string `yaml:"to"`
	}
	// Answer accepts the invite.
	Answer struct {
		By string `yaml:"by"`
	}
	// Reject declines the invite; with Who, By sends somebody away from the lobby.
	Reject struct {
		By     string `yaml:"by"`
		Reason string `yaml:"reason,omitempty"`
		Who    Who    `yaml:"who,omitempty"`
	}
	// Connect waits for media on both sides.
	Connect struct {
		// Within is 15 s when zero.
		Within Duration `yaml:"within,omitempty"`
	}
	// One is a step of one participant, written "hold: alice".
	One struct {
		By string `yaml:"by"`
	}
	// Wait lets the call go on, written "wait: 3s".
	Wait struct {
		For Duration `yaml:"for"`
	}
)

// Change is a change of the network; exactly one field is set.
type Change struct {
	// Link changes the uplink of a site, or the link of a subnet
	// ("site/subnet"). It replaces the link as a whole.
	Link *LinkChange `yaml:"link,omitempty"`
	// Block puts a rule at the head of a site's firewall, Unblock removes the
	// rules of a name.
	Block   *BlockChange   `yaml:"block,omitempty"`
	Unblock *UnblockChange `yaml:"unblock,omitempty"`
	// NAT replaces a site's translator; only before anything starts.
	NAT *NATChange `yaml:"nat,omitempty"`
	// Move puts a host into another network; its participant restarts ICE.
	Move *MoveChange `yaml:"move,omitempty"`
	// Stop ends the service on a host at once, as a crash does, and Start starts it
	// anew; Hang leaves it there, but it takes and gives no packet any more.
	Stop  *Service `yaml:"stop,omitempty"`
	Start *Service `yaml:"start,omitempty"`
	Hang  *Service `yaml:"hang,omitempty"`
}

type (
	// LinkChange names a link and what it becomes.
	LinkChange struct {
		Of string        `yaml:"of"`
		To topology.Link `yaml:"to"`
	}
	// BlockChange denies what the rule says, in the site's firewall.
	BlockChange struct {
		Site      string               `yaml:"site"`
		Name      string               `yaml:"name"`
		Direction topology.Direction   `yaml:"direction,omitempty"` // both when absent
		Protocol  topology.Protocol    `yaml:"protocol,omitempty"`
		Ports     []topology.PortRange `yaml:"ports,omitempty"`
		To        []string             `yaml:"to,omitempty"`
		Action    topology.Action      `yaml:"action,omitempty"` // deny when absent
	}
	// UnblockChange removes the firewall rules of a name.
	UnblockChange struct {
		Site string `yaml:"site"`
		Name string `yaml:"name"`
	}
	// NATChange replaces a site's translator.
	NATChange struct {
		Site string       `yaml:"site"`
		To   topology.NAT `yaml:"to"`
	}
	// MoveChange puts a host into another network.
	MoveChange struct {
		Host string `yaml:"host"`
		Site string `yaml:"site"`
		// Subnet is the site's first where the file leaves it out.
		Subnet string `yaml:"subnet,omitempty"`
	}
)

// The outcomes of a call that a scenario can expect.
const (
	CallConnected = "connected"
	CallRejected  = "rejected"
	CallFailed    = "failed"
)

// Rules are the firewall rules that a block stands for, one in each direction.
func (b BlockChange) Rules() []topology.Rule {
	directions := []topology.Direction{topology.Outbound, topology.Inbound}
	if b.Direction != "" {
		directions = []topology.Direction{b.Direction}
	}
	action := b.Action
	if action == "" {
		action = topology.Deny
	}
	var rules []topology.Rule
	for _, d := range directions {
		rules = append(rules, topology.Rule{
			Name: b.Name, Direction: d, Protocol: b.Protocol, Ports: b.Ports, To: b.To, Action: action,
		})
	}
	return rules
}

// Expect is what must be true of the run. An absent key expects nothing. Keys
// that stand under Participants are about one participant; the same keys at the
// top are about each for whom nothing else is said.
type Expect struct {
	// Call is the outcome: connected, rejected or failed.
	Call string `yaml:"call,omitempty"`
	// Steps are documented steps, by name, that must be seen in this order.
	Steps []string `yaml:"steps,omitempty"`
	// Reason is a piece of the reason of a call that failed or was rejected.
	Reason string `yaml:"reason,omitempty"`
	// SetupWithin bounds the time from invite to media on both sides.
	SetupWithin Duration `yaml:"setup-within,omitempty"`
	// MediaInVPN is true when media may be, and is, in a VPN tunnel; absent, it
	// is not looked at, but stands among the run's violations.
	MediaInVPN *bool `yaml:"media-in-vpn,omitempty"`
	// RelaySawPlaintext false demands that the relay relayed something and
	// found no plaintext in it.
	RelaySawPlaintext *bool `yaml:"relay-saw-plaintext,omitempty"`
	// RelayRefused is a piece of one of the relay's refusals.
	RelayRefused string `yaml:"relay-refused,omitempty"`
	// RelayUnused demands that no payload went through the relay.
	RelayUnused *bool `yaml:"relay-unused,omitempty"`
	// Violations is the number of violations; absent is zero for a call that is
	// expected to connect.
	Violations *int `yaml:"violations,omitempty"`
	// ProcessorAllocated false demands that the media processor was used, and never
	// asked the relay for an allocation of its own.
	ProcessorAllocated *bool `yaml:"processor-allocated,omitempty"`
	// ProcessorUsed is true when media went through a media processor.
	ProcessorUsed *bool `yaml:"processor-used,omitempty"`
	// LobbyCrossed false demands that somebody waited in a lobby, and that no packet
	// of media and no message of a chat reached or left a person there.
	LobbyCrossed *bool `yaml:"lobby-crossed,omitempty"`
	// Meetings are those of meetings and group calls, by name, Messages those of
	// the chat.
	Meetings map[string]MeetingExpect `yaml:"meetings,omitempty"`
	Messages map[string]MessageExpect `yaml:"messages,omitempty"`

	Each         ParticipantExpect            `yaml:",inline"`
	Participants map[string]ParticipantExpect `yaml:"participants,omitempty"`
}

// ParticipantExpect is what must be true of one participant.
type ParticipantExpect struct {
	// Flows are the documented flows that its media crosses, no more and no
	// fewer; SignalingFlows those of its signaling.
	Flows          []topology.Flow `yaml:"flows,omitempty"`
	SignalingFlows []topology.Flow `yaml:"signaling-flows,omitempty"`
	// Pair is the selected pair's types, local then remote; each may be a
	// choice, written "srflx|prflx".
	Pair []string `yaml:"pair,omitempty"`
	// Protocol is how media leaves the host: udp, tcp or tls; RelayPort the
	// relay's port that it goes to.
	Protocol  string `yaml:"protocol,omitempty"`
	RelayPort uint16 `yaml:"relay-port,omitempty"`
	Relayed   *bool  `yaml:"relayed,omitempty"`
	// Processor is the host of the media processor that its media went to first.
	Processor string `yaml:"processor,omitempty"`
	// Hears, Sees and Slides are those whose audio, video and shared screen it
	// received, by packets that were decrypted and found equal to what was sent.
	Hears  []string `yaml:"hears,omitempty"`
	Sees   []string `yaml:"sees,omitempty"`
	Slides []string `yaml:"slides,omitempty"`
	// Rejoins counts the times that it joined again after its media had failed.
	Rejoins *Range `yaml:"rejoins,omitempty"`
	// The negotiation, as the wire showed it, with IANA names.
	DTLSVersion   string `yaml:"dtls-version,omitempty"`
	CipherSuite   string `yaml:"cipher-suite,omitempty"`
	SRTPProfile   string `yaml:"srtp-profile,omitempty"`
	DTLSRole      string `yaml:"dtls-role,omitempty"` // client or server
	Certificate   string `yaml:"certificate,omitempty"`
	Fingerprint   string `yaml:"fingerprint,omitempty"` // verified or mismatch
	ICERole       string `yaml:"ice-role,omitempty"`    // controlling or controlled
	Verdict       string `yaml:"verdict,omitempty"`     // a piece of it
	ExtendedKeys  *bool  `yaml:"extended-master-secret,omitempty"`
	Retransmitted *Range `yaml:"dtls-retransmissions,omitempty"`
	// Quality of what it receives.
	Loss    *Range `yaml:"loss,omitempty"`    // fraction
	RTT     *Range `yaml:"rtt,omitempty"`     // milliseconds in Range
	Jitter  *Range `yaml:"jitter,omitempty"`  // milliseconds in Range
	MOS     *Range `yaml:"mos,omitempty"`     // 1 to 4.5
	Bitrate *Range `yaml:"bitrate,omitempty"` // bits per second in Range, all streams
	Freezes *Range `yaml:"freezes,omitempty"`
	Gap     *Range `yaml:"gap,omitempty"` // milliseconds in Range
	// Intact false allows corrupt payloads; absent is true where media flows.
	Intact   *bool  `yaml:"intact,omitempty"`
	Restarts *Range `yaml:"restarts,omitempty"`
}

// Duration is a time.Duration, written "3s".
type Duration = topology.Duration

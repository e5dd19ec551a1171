package language

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/callpath/callpath/signaling/meeting/policy"
	"github.com/callpath/callpath/topology"
)

// The words of a participant. Those of other packages are repeated here, because
// the language is below them.
var (
	clients     = []string{string(policy.ACS), string(policy.Teams), string(policy.Phone)}
	people      = []string{string(policy.Member), string(policy.Guest), string(policy.Trusted), string(policy.Anonymous)}
	audioCodecs = []string{"opus", "pcmu"}
	videoCodecs = []string{"vp8", "h264"}
	icePolicies = []string{"all", "relay"}
	transports  = []string{"udp", "tcp", "tls"}
	promises    = []string{"right", "wrong"}
	credentials = []string{"valid", "expired", "forged"}
	turnClients = []string{"v5", "v3"}
	stacks      = []string{"v3", "v2"}
	setups      = []string{"active", "passive"}
	keys        = []string{"ecdsa", "rsa"}
)

// suites are the cipher suites of each DTLS stack that authenticate with a
// certificate, by their IANA names. The older endpoint offers CBC only.
var suites = map[string][]string{
	"v3": {
		"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
		"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
		"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
		"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
		"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
		"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
		"TLS_ECDHE_ECDSA_WITH_AES_128_CCM",
		"TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8",
		"TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
		"TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
	},
	"v2": {
		"TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
		"TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
	},
}

func (c *checker) checkParticipants() {
	switch n := len(c.d.Keys("participants")); {
	case !c.s.Conference() && n != 2:
		c.report("participants", fmt.Sprintf("%d participants; a one-to-one call has 2", n))
	case c.s.Conference() && (n < 1 || n > maxPeople):
		c.report("participants", fmt.Sprintf("%d participants; wanted 1 to %d", n, maxPeople))
	}
	byHost := map[string]string{}
	for i := range c.s.Participants {
		p := &c.s.Participants[i]
		path := "participants." + p.Name
		if !participantName.MatchString(p.Name) {
			c.report(path, fmt.Sprintf("%q is not a name; wanted letters, digits, hyphens and underscores, with a letter first", p.Name))
		}
		c.checkHost(path+".host", p.Host)
		if other, taken := byHost[p.Host]; taken && p.Host != "" {
			c.report(path+".host", fmt.Sprintf("%s is the host of %s already; wanted one of its own", p.Host, other))
		}
		byHost[p.Host] = p.Name
		c.checkParticipant(path, p)
	}
}

func (c *checker) checkHost(path, name string) {
	n := c.s.Network
	switch {
	case name == "":
		c.text(path, name, true)
	case n == nil:
	case n.Host(name) == nil:
		c.report(path, fmt.Sprintf("the network has no host %q", name), clientHosts(n)...)
	case !isClient(*n.Host(name)):
		c.report(path, fmt.Sprintf("the host %s is a %s; wanted one with the role client", name, n.Host(name).Role), clientHosts(n)...)
	}
}

func isClient(h topology.Host) bool { return h.Role == "" || h.Role == topology.Client }

func clientHosts(n *topology.Network) []string {
	var names []string
	for _, h := range n.Hosts {
		if isClient(h) {
			names = append(names, h.Name)
		}
	}
	return names
}

func (c *checker) checkParticipant(path string, p *Participant) {
	c.word(path+".client", p.Client, clients...)
	c.words(path+".media", p.Media, slices.Concat(audioCodecs, videoCodecs)...)
	for _, kind := range []struct {
		name   string
		codecs []string
	}{{"audio", audioCodecs}, {"video", videoCodecs}} {
		if overlap(p.Media, kind.codecs) > 1 {
			c.report(path+".media", fmt.Sprintf("two codecs for %s; wanted one of %s", kind.name, strings.Join(kind.codecs, ", ")))
		}
	}
	c.word(path+".ice", p.ICE, icePolicies...)
	c.words(path+".transports", p.Transports, transports...)
	c.words(path+".srtp-profiles", p.SRTPProfiles, profileWords()...)
	c.word(path+".fingerprint", p.Fingerprint, promises...)
	c.word(path+".credential", p.Credential, credentials...)
	c.word(path+".turn-client", p.TURNClient, turnClients...)
	if n := c.s.Network; n != nil && p.ICE == "relay" && len(n.HostsWith(topology.TransportRelay)) == 0 {
		c.report(path+".ice", `"relay" needs a host with the role transport-relay in the network`)
	}
	if at := path + ".ask-permission-for"; c.has(at) {
		if _, err := netip.ParseAddr(p.Peer); err != nil {
			c.report(at, fmt.Sprintf("%q is not an address such as 10.0.0.1", p.Peer))
		}
	}
	c.checkDTLS(path+".dtls", p)
	c.checkOfConference(path, p)
}

// checkOfConference validates what only a participant of a conference has, or only
// one of a call.
func (c *checker) checkOfConference(path string, p *Participant) {
	c.word(path+".person", p.Person, people...)
	c.word(path+".screen", p.Screen, videoCodecs...)
	if p.Slots < 0 || p.Slots > maxPeople || p.Slots == 0 && c.has(path+".slots") {
		c.report(path+".slots", fmt.Sprintf("%d slots; wanted 1 to %d", p.Slots, maxPeople))
	}
	if c.s.Conference() {
		if p.stack() == "v2" {
			c.report(path+".dtls.stack", "the older endpoint takes part in calls of two only", "v3")
		}
		if c.has(path + ".ask-permission-for") {
			c.report(path+".ask-permission-for", "is asked beside a call of two only")
		}
		return
	}
	if p.Client == string(policy.Phone) {
		c.report(path+".client", "callers from the telephone network are in meetings only", "acs", "teams")
	}
	for _, key := range []string{"person", "screen", "mix", "slots"} {
		if at := path + "." + key; c.has(at) {
			c.report(at, "is of a conference, and this scenario is a call between two")
		}
	}
}

func (c *checker) checkDTLS(path string, p *Participant) {
	c.word(path+".stack", p.DTLS.Stack, stacks...)
	c.word(path+".setup", p.DTLS.Setup, setups...)
	c.word(path+".certificate", p.DTLS.Certificate, keys...)
	if valid, ok := suites[p.stack()]; ok {
		c.words(path+".cipher-suites", p.DTLS.CipherSuites, valid...)
	}
}

// stack is the DTLS stack in use.
func (p *Participant) stack() string {
	if p.DTLS.Stack == "" {
		return "v3"
	}
	return p.DTLS.Stack
}

// offeredSuites are those that the participant can agree to.
func (p *Participant) offeredSuites() []string {
	if len(p.DTLS.CipherSuites) > 0 {
		return p.DTLS.CipherSuites
	}
	return suites[p.stack()]
}

// offeredProfiles are those that the participant can agree to.
func (p *Participant) offeredProfiles() []string {
	if len(p.SRTPProfiles) > 0 {
		return p.SRTPProfiles
	}
	return profileWords()
}

// sends is true when the participant sends media of a kind.
func (p *Participant) sends(codecs []string) bool {
	return len(p.Media) == 0 || overlap(p.Media, codecs) > 0
}

// overlap counts the words of a that are in b.
func overlap(a, b []string) int {
	n := 0
	for _, w := range a {
		if slices.Contains(b, w) {
			n++
		}
	}
	return n
}

// profileWords are the SRTP profiles by their names in a scenario.
func profileWords() []string {
	names := make([]string, len(profiles))
	for i, p := range profiles {
		names[i] = p.name
	}
	return names
}

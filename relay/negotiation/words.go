package negotiation

import (
	"fmt"
	"strings"
)

// What records say in words, for all who print them.

// Words says what kind of check it was: "sent by relay, nominates".
func (c Check) Words() string {
	words := c.Direction
	if c.Relayed {
		words += " by relay"
	}
	if c.UseCandidate {
		words += ", nominates"
	}
	return words
}

// Facts are what a handshake agreed on, and out of what, as names and values in the
// order in which people ask for them. What is not known is left out.
func (d DTLS) Facts() [][2]string {
	var facts [][2]string
	add := func(name, value string) {
		if value != "" {
			facts = append(facts, [2]string{name, value})
		}
	}
	chosen := func(name, value string, offered []string) {
		if value == "" && len(offered) > 0 {
			value = "none"
		}
		if len(offered) > 0 {
			value += ", of " + strings.Join(offered, ", ")
		}
		add(name, value)
	}
	chosen("version", d.Version, d.VersionsOffered)
	chosen("cipher suite", d.CipherSuite, d.CipherSuitesOffered)
	chosen("group", d.Group, d.GroupsOffered)
	chosen("signature", d.SignatureScheme, d.SignaturesOffered)
	chosen("SRTP profile", d.SRTPProfile, d.SRTPProfilesOffered)
	add("MKI", d.MKI)
	if d.Version != "" {
		add("extended master secret", map[bool]string{true: "yes", false: "no"}[d.ExtendedMasterSecret])
	}
	if d.Setup != [2]string{} {
		setup := d.Setup
		for i := range setup {
			if setup[i] == "" {
				setup[i] = "none"
			}
		}
		add("setup in SDP", setup[0]+", peer "+setup[1])
	}
	for _, c := range []struct {
		name string
		*Certificate
	}{{"own certificate", d.Own}, {"peer's certificate", d.Peer}} {
		if c.Certificate != nil {
			add(c.name, c.words())
		}
	}
	return facts
}

func (c *Certificate) words() string {
	promise := "promised by the SDP"
	switch {
	case c.Promised == "":
		promise = "no SDP promised one"
	case !c.Matched:
		promise = "but the SDP promised " + c.Promised
	}
	return fmt.Sprintf("%s, %s; %s, %s", c.Key, c.Signature, c.Fingerprint, promise)
}

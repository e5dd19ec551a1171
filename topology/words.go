package topology

import (
	"encoding/json"
	"fmt"

	"github.com/callpath/callpath/topology/document"
)

// siteKinds, behaviors and the others list the words that a file may use.
func siteKinds() []SiteKind {
	return []SiteKind{CustomerNetwork, Internet, CommunicationServices, Telephony}
}

func behaviors() []Behavior {
	return []Behavior{EndpointIndependent, AddressDependent, AddressAndPortDependent}
}

func actions() []Action { return []Action{Allow, Deny, Reject} }

func directions() []Direction { return []Direction{Outbound, Inbound} }

func protocols() []Protocol { return []Protocol{AnyProtocol, UDP, TCP, ICMP} }

func roles() []Role {
	return []Role{Client, TransportRelay, SignalingController, MediaProcessor, DNSServer, STUNProbe}
}

// words turns a list of named strings into strings, for messages.
func words[S ~string](list []S) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = string(s)
	}
	return out
}

// natWords are RFC 3489's names. It did not tell apart how a NAT maps from how it
// filters; RFC 4787 does. Nor did it speak of ports: most cones of today keep the
// port where they can, and a symmetric NAT that did would hardly be one.
func natWords() []string {
	return []string{"full-cone", "restricted-cone", "port-restricted-cone", "symmetric"}
}

// NATOf is the translator that one of RFC 3489's words means: full-cone,
// restricted-cone, port-restricted-cone or symmetric.
func NATOf(word string) (NAT, error) {
	switch word {
	case "full-cone":
		return NAT{Mapping: EndpointIndependent, Filtering: EndpointIndependent, PortPreservation: true}, nil
	case "restricted-cone":
		return NAT{Mapping: EndpointIndependent, Filtering: AddressDependent, PortPreservation: true}, nil
	case "port-restricted-cone":
		return NAT{Mapping: EndpointIndependent, Filtering: AddressAndPortDependent, PortPreservation: true}, nil
	case "symmetric":
		return NAT{Mapping: AddressAndPortDependent, Filtering: AddressAndPortDependent}, nil
	}
	var anywhere *document.Document
	return NAT{}, anywhere.Error("", fmt.Sprintf("no kind of NAT %q", word), natWords()...)
}

// Kind is RFC 3489's word for the NAT; other combinations are in RFC 4787's terms.
func (n *NAT) Kind() string {
	switch [2]Behavior{n.Mapping, n.Filtering} {
	case [2]Behavior{EndpointIndependent, EndpointIndependent}:
		return "full-cone"
	case [2]Behavior{EndpointIndependent, AddressDependent}:
		return "restricted-cone"
	case [2]Behavior{EndpointIndependent, AddressAndPortDependent}:
		return "port-restricted-cone"
	case [2]Behavior{AddressAndPortDependent, AddressAndPortDependent}:
		return "symmetric"
	}
	return fmt.Sprintf("%s mapping, %s filtering", n.Mapping, n.Filtering)
}

// UnmarshalYAML reads a mapping, or one of RFC 3489's words.
func (n *NAT) UnmarshalYAML(unmarshal func(any) error) error {
	var word string
	if unmarshal(&word) == nil {
		return n.setWord(word)
	}
	type mapping NAT
	return unmarshal((*mapping)(n))
}

// UnmarshalJSON reads an object, or one of RFC 3489's words.
func (n *NAT) UnmarshalJSON(data []byte) error {
	var word string
	if json.Unmarshal(data, &word) == nil {
		return n.setWord(word)
	}
	type object NAT
	return json.Unmarshal(data, (*object)(n))
}

func (n *NAT) setWord(word string) error {
	named, err := NATOf(word)
	if err == nil {
		*n = named
	}
	return err
}

package server

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/callpath/callpath/relay/forward/srtp"
	"github.com/callpath/callpath/relay/processor"
)

// Processor configures the media processor of meetings and group calls.
type Processor struct {
	UDP       []uint16        `yaml:"udp"`
	Addresses []netip.Addr    `yaml:"addresses"`
	Public    []netip.Addr    `yaml:"public"`
	Profiles  []string        `yaml:"profiles"`
	Limits    ProcessorLimits `yaml:"limits"`
}

// ProcessorLimits are of processor.Limits.
type ProcessorLimits struct {
	Conferences  Count `yaml:"conferences"`
	Participants Count `yaml:"participants"`
	Handshakes   Count `yaml:"handshakes"`
}

// hosting says whether there is a media processor.
func (c *Config) hosting() bool { return len(c.Processor.UDP) > 0 && len(c.Signaling.HTTPS) > 0 }

// profiles are the protection profiles that the processor knows, the preferred first.
func profiles() []srtp.Profile {
	return []srtp.Profile{srtp.AEADAES256GCM, srtp.AEADAES128GCM, srtp.AES128CMHMACSHA180}
}

func (c *Config) checkProcessor(f finder) {
	p := &c.Processor
	for key, list := range map[string][]netip.Addr{"addresses": p.Addresses, "public": p.Public} {
		families := map[bool]bool{}
		for i, a := range list {
			at := fmt.Sprintf("processor.%s[%d]", key, i)
			if a.IsMulticast() || a.Is4In6() || key == "public" && a.IsUnspecified() {
				f.wrong(at, "%v is no address that media can come to", a)
			}
			if families[a.Is4()] {
				f.wrong(at, "%v is another of its family; wanted at most one of IPv4 and one of IPv6", a)
			}
			families[a.Is4()] = true
		}
	}
	for i, a := range p.Addresses {
		if a.IsUnspecified() && !slices.ContainsFunc(p.Public, func(public netip.Addr) bool { return public.Is4() == a.Is4() }) {
			f.wrong(fmt.Sprintf("processor.addresses[%d]", i), "%v is no address that clients can be told; processor.public must have one of its family", a)
		}
	}
	var valid []string
	for _, known := range profiles() {
		valid = append(valid, known.String())
	}
	if len(p.Profiles) == 0 {
		f.wrong("processor.profiles", "is empty; wanted at least one of %v", valid)
	}
	for i, name := range p.Profiles {
		f.one(fmt.Sprintf("processor.profiles[%d]", i), name, valid...)
	}
}

// processorAddresses are where the processor listens, one of a family: IPv4 first. They
// are addresses that others reach, if there are some.
func (c *Config) processorAddresses(listening []netip.Addr) []netip.Addr {
	from := c.Processor.Addresses
	if len(from) == 0 {
		from = c.relayAddresses(listening)
	}
	var out []netip.Addr
	for _, four := range []bool{true, false} {
		if i := slices.IndexFunc(from, func(a netip.Addr) bool { return a.Is4() == four }); i >= 0 {
			out = append(out, from[i])
		}
	}
	return out
}

// processorPublic is the host candidate of a socket: at the configured address of its
// family, or its own.
func (c *Config) processorPublic(at netip.AddrPort) netip.AddrPort {
	for _, a := range c.Processor.Public {
		if a.Is4() == at.Addr().Is4() {
			return netip.AddrPortFrom(a, at.Port())
		}
	}
	return netip.AddrPortFrom(at.Addr().WithZone(""), at.Port())
}

// services are what the relay opens for its clients by this configuration: the media
// processor, at its ports only.
func (c *Config) services(listening []netip.Addr) []netip.AddrPort {
	if !c.hosting() {
		return nil
	}
	var out []netip.AddrPort
	for _, a := range c.processorAddresses(listening) {
		for _, port := range c.Processor.UDP {
			out = append(out, c.processorPublic(netip.AddrPortFrom(a, port)))
		}
	}
	return out
}

func (c *Config) processorConfig() processor.Config {
	p := &c.Processor
	cfg := processor.Config{Limits: processor.Limits{
		Conferences: int(p.Limits.Conferences), Participants: int(p.Limits.Participants), Handshakes: int(p.Limits.Handshakes),
	}}
	for _, name := range p.Profiles {
		i := slices.IndexFunc(profiles(), func(p srtp.Profile) bool { return p.String() == name })
		cfg.Profiles = append(cfg.Profiles, profiles()[i]) // check has seen it
	}
	return cfg
}

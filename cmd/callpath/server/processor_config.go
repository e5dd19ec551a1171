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
	UDP      []uint16        `yaml:"udp"`
	Address  string          `yaml:"address"`
	Public   []netip.Addr    `yaml:"public"`
	Profiles []string        `yaml:"profiles"`
	Limits   ProcessorLimits `yaml:"limits"`
}

// ProcessorLimits are of processor.Limits.
type ProcessorLimits struct {
	Conferences  int `yaml:"conferences"`
	Participants int `yaml:"participants"`
	Handshakes   int `yaml:"handshakes"`
}

// hosting says whether there is a media processor.
func (c *Config) hosting() bool { return len(c.Processor.UDP) > 0 && len(c.Signaling.HTTPS) > 0 }

// profiles are the protection profiles that the processor knows, the preferred first.
func profiles() []srtp.Profile {
	return []srtp.Profile{srtp.AEADAES256GCM, srtp.AEADAES128GCM, srtp.AES128CMHMACSHA180}
}

func (c *Config) checkProcessor(f finder) {
	p := &c.Processor
	if p.Address != "" {
		if a, err := netip.ParseAddr(p.Address); err != nil || a.IsMulticast() || a.Is4In6() {
			f.wrong("processor.address", "found %q, wanted an address of this machine, or 0.0.0.0 or ::", p.Address)
		}
	}
	for i, a := range p.Public {
		if a.IsUnspecified() || a.IsMulticast() || a.Is4In6() {
			f.wrong(fmt.Sprintf("processor.public[%d]", i), "%v is no address that clients can send to", a)
		}
	}
	if len(p.UDP) > 1 && len(p.Public) > 1 {
		f.wrong("processor.public", "has %d addresses for %d ports; wanted one address, or one port", len(p.Public), len(p.UDP))
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
	for path, value := range map[string]int{"conferences": p.Limits.Conferences, "participants": p.Limits.Participants, "handshakes": p.Limits.Handshakes} {
		if value < 1 {
			f.wrong("processor.limits."+path, "found %d, wanted 1 or more", value)
		}
	}
}

// processorAddress is where the processor listens: an IPv4 address that others reach,
// if there is one, since each client of the relay has one for the other family.
func (c *Config) processorAddress(listening []netip.Addr) netip.Addr {
	if c.Processor.Address != "" {
		a, _ := netip.ParseAddr(c.Processor.Address) // check has seen it
		return a
	}
	outside := c.relayAddresses(listening)
	if i := slices.IndexFunc(outside, netip.Addr.Is4); i >= 0 {
		return outside[i]
	}
	return outside[0]
}

// processorPublic are the host candidates of a socket at a port: the configured ones,
// or its own address, or for a socket on all addresses those of its families.
func (c *Config) processorPublic(listening []netip.Addr, port uint16) []netip.AddrPort {
	at := c.processorAddress(listening)
	addresses := c.Processor.Public
	switch {
	case len(addresses) > 0:
	case !at.IsUnspecified():
		addresses = []netip.Addr{at}
	default:
		for _, a := range c.relayAddresses(listening) {
			if at.Is6() || a.Is4() {
				addresses = append(addresses, a)
			}
		}
	}
	var out []netip.AddrPort
	for _, a := range addresses {
		out = append(out, netip.AddrPortFrom(a.WithZone(""), port))
	}
	return out
}

// services are what the relay opens for its clients: the media processor, at its
// ports only. ports are those that are listened on.
func (c *Config) services(listening []netip.Addr, ports []uint16) []netip.AddrPort {
	if !c.hosting() {
		return nil
	}
	var out []netip.AddrPort
	for _, port := range ports {
		out = append(out, c.processorPublic(listening, port)...)
	}
	return out
}

func (c *Config) processorConfig() processor.Config {
	p := &c.Processor
	cfg := processor.Config{Limits: processor.Limits{
		Conferences: p.Limits.Conferences, Participants: p.Limits.Participants, Handshakes: p.Limits.Handshakes,
	}}
	for _, name := range p.Profiles {
		i := slices.IndexFunc(profiles(), func(p srtp.Profile) bool { return p.String() == name })
		cfg.Profiles = append(cfg.Profiles, profiles()[i]) // check has seen it
	}
	return cfg
}

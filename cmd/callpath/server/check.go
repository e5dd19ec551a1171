package server

import (
	"fmt"
	"log/slog"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/callpath/callpath/topology/document"
)

// check finds what is wrong with values that can be read, and that cannot be right
// together.
func (c *Config) check(p *places) error {
	var errs document.Errors
	wrong := func(path, problem string, args ...any) {
		errs = append(errs, p.finding(path, fmt.Sprintf(problem, args...)))
	}
	one := func(path, value string, valid ...string) {
		if !slices.Contains(valid, value) {
			errs = append(errs, p.finding(path, fmt.Sprintf("%q is not known", value), valid...))
		}
	}
	c.checkAddresses(wrong)
	c.checkPorts(wrong)
	if c.Realm == "" || len(c.Realm) > maxRealm || strings.ContainsFunc(c.Realm, func(r rune) bool { return r <= ' ' || r > '~' }) {
		wrong("realm", "found %q, wanted 1 to %d printable characters, such as the domain name", c.Realm, maxRealm)
	}
	if (c.Certificate.Chain == "") != (c.Certificate.Key == "") {
		wrong("certificate", "chain and key belong together; give both or none")
	}
	for path, value := range map[string]struct{ got, least, most Duration }{
		"relay.credential-lifetime": {c.Relay.CredentialLifetime, Duration(time.Minute), Duration(24 * time.Hour)},
		"relay.limits.idle":         {c.Relay.Limits.Idle, Duration(time.Second), Duration(time.Hour)},
		"identity.token-lifetime":   {c.Identity.TokenLifetime, Duration(time.Minute), Duration(24 * time.Hour)},
		"identity.session-lifetime": {c.Identity.SessionLifetime, Duration(time.Minute), Duration(30 * 24 * time.Hour)},
		"identity.key-lifetime":     {c.Identity.KeyLifetime, Duration(48 * time.Hour), Duration(365 * 24 * time.Hour)},
		"drain":                     {c.Drain, 0, Duration(24 * time.Hour)},
	} {
		if value.got < value.least || value.got > value.most {
			wrong(path, "found %v, wanted %v to %v", time.Duration(value.got), time.Duration(value.least), time.Duration(value.most))
		}
	}
	if k := c.Relay.Kernel; len(k) > 1 && (slices.Contains(k, kernelAuto) || slices.Contains(k, kernelOff)) {
		wrong("relay.kernel", "found %q, wanted interfaces, or %s or %s alone", k, kernelAuto, kernelOff)
	}
	c.checkIdentity(finder{wrong, one})
	c.checkProcessor(finder{wrong, one})
	c.checkMeetings(finder{wrong, one})
	c.checkChat(finder{wrong, one})
	one("log.format", c.Log.Format, "text", "json")
	if c.Log.Level != "off" && new(slog.Level).UnmarshalText([]byte(c.Log.Level)) != nil {
		one("log.level", c.Log.Level, "debug", "info", "warn", "error", "off")
	}
	if len(errs) == 0 {
		return nil
	}
	slices.SortStableFunc(errs, func(a, b *document.Error) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return strings.Compare(a.Path, b.Path)
	})
	return errs
}

// maxRealm keeps the answer to a stranger small.
const maxRealm = 64

func (c *Config) checkAddresses(wrong func(path, problem string, args ...any)) {
	if len(c.Listen) == 0 {
		wrong("listen", "is empty; wanted addresses, or 0.0.0.0 for each IPv4 address of the machine")
	}
	for i, a := range c.Listen {
		if a.IsMulticast() || a.Is4In6() {
			wrong(fmt.Sprintf("listen[%d]", i), "%v is no address to listen on", a)
		}
	}
	for i, a := range c.Relay.Addresses {
		if a.IsUnspecified() || a.IsMulticast() || a.Is4In6() {
			wrong(fmt.Sprintf("relay.addresses[%d]", i), "%v is no address that peers can send to", a)
		}
	}
	if c.Public != "" && strings.ContainsAny(c.Public, "/:?@ []") {
		if _, err := netip.ParseAddr(c.Public); err != nil {
			wrong("public", "found %q, wanted a name or an address without a port", c.Public)
		}
	}
	if c.Admin.Listen != "" {
		if _, err := netip.ParseAddrPort(c.Admin.Listen); err != nil {
			wrong("admin.listen", "found %q, wanted an address and port such as 127.0.0.1:9478", c.Admin.Listen)
		}
	}
	for i, pattern := range c.Signaling.Origins {
		if _, err := path.Match(pattern, ""); err != nil || strings.Contains(pattern, "/") {
			wrong(fmt.Sprintf("signaling.origins[%d]", i), "found %q, wanted a host such as *.example.org", pattern)
		}
	}
}

func (c *Config) checkPorts(wrong func(path, problem string, args ...any)) {
	if c.Relay.MinPort == 0 || c.Relay.MinPort > c.Relay.MaxPort {
		wrong("relay.min-port", "found %d, wanted 1 to relay.max-port, which is %d", c.Relay.MinPort, c.Relay.MaxPort)
	}
	used, total := map[string]string{}, 0
	for _, l := range append(c.listeners(), listener{key: "processor.udp", network: "udp", ports: c.Processor.UDP}) {
		if l.key != "processor.udp" { // it is of no use alone
			total += len(l.ports)
		}
		for i, port := range l.ports {
			at := fmt.Sprintf("%s %d", l.network, port)
			if by := used[at]; by != "" && port != 0 {
				wrong(fmt.Sprintf("%s[%d]", l.key, i), "%s port %d is %s's already", l.network, port, by)
			}
			used[at] = l.key
		}
	}
	if total == 0 {
		wrong("relay", "there is no port to listen on; wanted at least one in relay or signaling")
	}
}

package server

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/callpath/callpath/topology/document"
)

// Setting is a key of the configuration that can be a flag and a variable.
type Setting struct {
	// Key is the path in the file, for example "relay.udp".
	Key string
	// List is true for keys with several values, separated by commas.
	List bool
	// Switch is true for keys that are true or false.
	Switch bool
	// Usage is one line.
	Usage string
}

// Flag is the setting's name on the command line, without dashes before it.
func (s Setting) Flag() string { return strings.ReplaceAll(s.Key, ".", "-") }

// Variable is its name in the environment.
func (s Setting) Variable() string {
	return variablePrefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(s.Key))
}

const variablePrefix = "CALLPATH_"

// FileVariable names the configuration file in the environment.
const FileVariable = variablePrefix + "CONFIG"

// Settings are all keys but those of lists with a structure: users, applications,
// external issuers and rules of identity, and the policies of meetings.
func Settings() []Setting {
	const list, toggle = 1, 2
	var all []Setting
	for _, s := range []struct {
		key, usage string
		kind       int
	}{
		{"state", "directory of certificates and secrets that are made", 0},
		{"listen", "addresses to listen on", list},
		{"public", "name or address by which clients reach the server", 0},
		{"realm", "authentication realm of the relay", 0},
		{"proxies", "trusted senders of PROXY protocol v2: addresses or prefixes", list},
		{"certificate.chain", "PEM file of the certificate chain", 0},
		{"certificate.key", "PEM file of the certificate's key", 0},
		{"certificate.names", "further names of the certificate that is made", list},
		{"relay.udp", "UDP ports of the relay", list},
		{"relay.tcp", "TCP ports of the relay", list},
		{"relay.tls", "TLS ports of the relay", list},
		{"relay.dtls", "DTLS ports of the relay", list},
		{"relay.addresses", "addresses on which relayed addresses are made", list},
		{"relay.own", "further addresses of this machine, which peers cannot be", list},
		{"relay.min-port", "lowest relay port", 0},
		{"relay.max-port", "highest relay port", 0},
		{"relay.secrets", "files with a shared secret each, the newest first", list},
		{"relay.credential-lifetime", "how long credentials last that signaling hands out", 0},
		{"relay.strict-expiry", "let an expired credential end what it allocated", toggle},
		{"relay.kernel", "interfaces on which bound channels are forwarded in the kernel, auto for all, or off", list},
		{"relay.peers.allow", "prefixes of peers to allow beside public ones", list},
		{"relay.peers.deny", "prefixes of peers to deny", list},
		{"relay.quota.allocations-per-user", "most allocations of one user", 0},
		{"relay.quota.allocations", "most allocations in all", 0},
		{"relay.quota.permissions", "most permissions of one allocation", 0},
		{"relay.quota.channels", "most channels of one allocation", 0},
		{"relay.quota.bandwidth-per-user", "payload per second of one user, such as 20Mbit", 0},
		{"relay.quota.bandwidth", "payload per second in all", 0},
		{"relay.limits.requests", "unauthenticated requests of a source per second", 0},
		{"relay.limits.requests-at-once", "unauthenticated requests of a source at once", 0},
		{"relay.limits.connections", "most connections in all", 0},
		{"relay.limits.connections-per-source", "most connections of one source", 0},
		{"relay.limits.handshakes", "most handshakes at once", 0},
		{"relay.limits.idle", "how long a connection may stay without an allocation", 0},
		{"processor.udp", "UDP ports of the media processor", list},
		{"processor.addresses", "addresses that the media processor listens on, one of a family", list},
		{"processor.public", "addresses by which clients and the relay reach the media processor, one of a family", list},
		{"processor.profiles", "SRTP profiles of the media processor, the preferred first", list},
		{"processor.limits.conferences", "most meetings and group calls with media", 0},
		{"processor.limits.participants", "most participants of one of them", 0},
		{"processor.limits.handshakes", "most handshakes at once on a port", 0},
		{"signaling.https", "HTTPS ports of signaling", list},
		{"signaling.origins", "hosts whose pages may open the WebSocket", list},
		{"signaling.calls-per-user", "most calls of one user at once", 0},
		{"meetings.tenant", "ID of the organisation whose meetings are held", 0},
		{"meetings.trusted", "organisations that trust and are trusted", list},
		{"chat.dlp", "file with the rules of data loss prevention", 0},
		{"chat.vault", "file of the customer's root keys", 0},
		{"chat.roots", "names of the two root keys of the data encryption policy", list},
		{"identity.issuer", "URL of the issuer of tokens, as everybody reaches it", 0},
		{"identity.redirect-uris", "further pages that a sign-in may lead back to", list},
		{"identity.token-lifetime", "how long an access token lasts", 0},
		{"identity.session-lifetime", "how long a sign-in can be refreshed", 0},
		{"identity.key-lifetime", "how long a key signs tokens before the next one does", 0},
		{"admin.listen", "address and port of the admin endpoint", 0},
		{"admin.pprof", "serve /debug/pprof on the admin endpoint", toggle},
		{"drain", "how long SIGTERM leaves live allocations", 0},
		{"negotiation-log", "file for what the relay sees of ICE, DTLS and SRTP; - is the log", 0},
		{"log.format", "text or json", 0},
		{"log.level", "debug, info, warn, error or off", 0},
	} {
		all = append(all, Setting{Key: s.key, Usage: s.usage, List: s.kind == list, Switch: s.kind == toggle})
	}
	return all
}

// flags decodes the flags over what stands.
func (c *Config) flags(given map[string]string, p *places) error {
	var errs document.Errors
	for _, s := range Settings() {
		if value, ok := given[s.Flag()]; ok {
			errs = append(errs, c.set(s, value, "--"+s.Flag())...)
			p.note(s.Key, "--"+s.Flag())
		}
	}
	if len(errs) > 0 {
		return errs
	}
	return nil
}

// environment decodes the variables over what stands. Those with our prefix that
// are no settings are errors never, since Kubernetes makes some for a service of our
// name and tests have their own; those that are nearly a setting are noted as strange.
func (c *Config) environment(environment []string, p *places) error {
	values := map[string]string{}
	for _, v := range environment {
		if name, value, ok := strings.Cut(v, "="); ok && strings.HasPrefix(name, variablePrefix) {
			values[name] = value
		}
	}
	var errs document.Errors
	for _, s := range Settings() {
		if value, ok := values[s.Variable()]; ok {
			errs = append(errs, c.set(s, value, s.Variable())...)
			p.note(s.Key, s.Variable())
		}
	}
	c.strange = strange(values)
	if len(errs) > 0 {
		return errs
	}
	return nil
}

// strange returns a line for each variable whose name is nearly that of a setting.
func strange(values map[string]string) []string {
	valid := []string{strings.TrimPrefix(FileVariable, variablePrefix)}
	for _, s := range Settings() {
		valid = append(valid, strings.TrimPrefix(s.Variable(), variablePrefix))
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		name = strings.TrimPrefix(name, variablePrefix)
		if slices.Contains(valid, name) {
			continue
		}
		if near := document.Nearest(name, valid); near != "" {
			lines = append(lines, variablePrefix+name+" is no setting and has no effect; did you mean "+variablePrefix+near+"?")
		}
	}
	return lines
}

// Strange has a line for each variable of the environment that is no setting but has
// nearly the name of one, which it says.
func (c *Config) Strange() []string { return c.strange }

// set decodes one value by writing it as the document that it would be in a file.
func (c *Config) set(s Setting, value, by string) document.Errors {
	var text strings.Builder
	parts := strings.Split(s.Key, ".")
	for i, part := range parts[:len(parts)-1] {
		text.WriteString(strings.Repeat("  ", i) + part + ":\n")
	}
	text.WriteString(strings.Repeat("  ", len(parts)-1) + parts[len(parts)-1] + ": ")
	if s.List {
		var items []string
		for item := range strings.SplitSeq(value, ",") {
			if item = strings.TrimSpace(item); item != "" {
				items = append(items, scalar(item))
			}
		}
		text.WriteString("[" + strings.Join(items, ", ") + "]\n")
	} else {
		text.WriteString(scalar(value) + "\n")
	}
	d, err := document.Parse(by, []byte(text.String()))
	if err == nil {
		err = d.Decode(c)
	}
	if err == nil {
		return nil
	}
	found, ok := err.(document.Errors)
	if !ok {
		return document.Errors{{File: by, Problem: err.Error()}}
	}
	// Line and column are of a document that nobody has seen.
	for _, e := range found {
		e.Line, e.Column, e.Path = 0, 0, ""
	}
	return found[:1]
}

// scalar writes numbers and booleans plainly and quotes the rest.
func scalar(s string) string {
	if _, err := strconv.ParseInt(s, 10, 64); err == nil && !strings.HasPrefix(s, "+") {
		return s
	}
	if slices.Contains([]string{"true", "false"}, s) {
		return s
	}
	return strconv.QuoteToASCII(s)
}

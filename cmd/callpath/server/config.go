package server

import (
	_ "embed"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/callpath/callpath/topology/document"
)

// Config is the configuration. default.yaml documents each key.
type Config struct {
	State       string       `yaml:"state"`
	Listen      []netip.Addr `yaml:"listen"`
	Public      string       `yaml:"public"`
	Realm       string       `yaml:"realm"`
	Proxies     []Prefix     `yaml:"proxies"`
	Certificate Certificate  `yaml:"certificate"`
	Relay       Relay        `yaml:"relay"`
	Processor   Processor    `yaml:"processor"`
	Signaling   Signaling    `yaml:"signaling"`
	Meetings    Meetings     `yaml:"meetings"`
	Chat        Chat         `yaml:"chat"`
	Identity    Identity     `yaml:"identity"`
	Admin       Admin        `yaml:"admin"`
	Drain       Duration     `yaml:"drain"`
	Log         Log          `yaml:"log"`

	// NegotiationLog is a file, or "-" for the server's own log.
	NegotiationLog string `yaml:"negotiation-log"`

	// optional is true when Listen is the default, of which one family may not
	// exist on the machine.
	optional bool
	// strange are variables that were probably meant for us, and are no settings.
	strange []string
	// source is where it came from, to be read again.
	source Source
}

// Certificate says where the certificate is from.
type Certificate struct {
	Chain string   `yaml:"chain"`
	Key   string   `yaml:"key"`
	Names []string `yaml:"names"`
}

// Relay configures the transport relay.
type Relay struct {
	UDP                []uint16     `yaml:"udp"`
	TCP                []uint16     `yaml:"tcp"`
	TLS                []uint16     `yaml:"tls"`
	DTLS               []uint16     `yaml:"dtls"`
	Addresses          []netip.Addr `yaml:"addresses"`
	Own                []netip.Addr `yaml:"own"`
	MinPort            uint16       `yaml:"min-port"`
	MaxPort            uint16       `yaml:"max-port"`
	Secrets            []string     `yaml:"secrets"`
	CredentialLifetime Duration     `yaml:"credential-lifetime"`
	StrictExpiry       bool         `yaml:"strict-expiry"`
	Kernel             []string     `yaml:"kernel"`
	Peers              Peers        `yaml:"peers"`
	Quota              Quota        `yaml:"quota"`
	Limits             Limits       `yaml:"limits"`
}

// Peers are those of turn.PeerPolicy.
type Peers struct {
	Allow []Prefix `yaml:"allow"`
	Deny  []Prefix `yaml:"deny"`
}

// Quota is turn.Quota.
type Quota struct {
	AllocationsPerUser Count     `yaml:"allocations-per-user"`
	Allocations        Count     `yaml:"allocations"`
	Permissions        Count     `yaml:"permissions"`
	Channels           Count     `yaml:"channels"`
	BandwidthPerUser   Bandwidth `yaml:"bandwidth-per-user"`
	Bandwidth          Bandwidth `yaml:"bandwidth"`
}

// Limits is turn.Limits.
type Limits struct {
	Requests             Count    `yaml:"requests"`
	RequestsAtOnce       Count    `yaml:"requests-at-once"`
	Connections          Count    `yaml:"connections"`
	ConnectionsPerSource Count    `yaml:"connections-per-source"`
	Handshakes           Count    `yaml:"handshakes"`
	Idle                 Duration `yaml:"idle"`
}

// Signaling configures the signaling controller.
type Signaling struct {
	HTTPS        []uint16 `yaml:"https"`
	Origins      []string `yaml:"origins"`
	CallsPerUser Count    `yaml:"calls-per-user"`
}

// Admin configures the admin endpoint.
type Admin struct {
	Listen string `yaml:"listen"`
	Pprof  bool   `yaml:"pprof"`
}

// Log says what is logged, and how.
type Log struct {
	Format string `yaml:"format"`
	Level  string `yaml:"level"`
}

//go:embed default.yaml
var defaults []byte

// DefaultFile is the configuration file with every key, its default and its
// documentation.
func DefaultFile() []byte { return defaults }

// Source is where a configuration comes from.
type Source struct {
	// File is a path; empty is none.
	File string
	// Environment is as os.Environ has it.
	Environment []string
	// Flags are the flags that were given, by the names of Settings.
	Flags map[string]string
}

// Load reads a configuration: flags win over the environment, that over the file,
// and that over the defaults. Findings name file, line and column, or the flag or
// variable; they are all there at once.
func Load(from Source) (*Config, error) {
	cfg := &Config{source: from}
	base, err := document.Parse("default.yaml", defaults)
	if err == nil {
		err = base.Decode(cfg)
	}
	if err != nil {
		return nil, fmt.Errorf("built-in configuration: %w", err)
	}
	p := &places{}
	cfg.optional = true
	if from.File != "" {
		if err := cfg.read(from.File, p); err != nil {
			return nil, err
		}
	}
	if err := cfg.environment(from.Environment, p); err != nil {
		return nil, err
	}
	if err := cfg.flags(from.Flags, p); err != nil {
		return nil, err
	}
	cfg.optional = !p.has("listen")
	if err := cfg.check(p); err != nil {
		return nil, err
	}
	return cfg, cfg.findState()
}

// read decodes the file over what stands.
func (c *Config) read(file string, p *places) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	d, err := document.Parse(file, data)
	if err != nil {
		return err
	}
	if err := d.Decode(c); err != nil {
		return err
	}
	p.file = d
	if f := &c.NegotiationLog; *f != "" && *f != toLog && !filepath.IsAbs(*f) {
		*f = filepath.Join(filepath.Dir(file), *f)
	}
	paths := []*string{&c.State, &c.Certificate.Chain, &c.Certificate.Key, &c.Chat.DLP, &c.Chat.Vault}
	for i := range c.Relay.Secrets {
		paths = append(paths, &c.Relay.Secrets[i])
	}
	paths = append(paths, c.Identity.files()...)
	for _, path := range paths {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(filepath.Dir(file), *path)
		}
	}
	return nil
}

// findState completes the state directory.
func (c *Config) findState() error {
	if c.State != "" {
		return nil
	}
	home := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(home) { // the specification says to ignore others
		user, err := os.UserHomeDir()
		if err != nil {
			return fmt.Errorf("state: no directory is given, and %w; valid: --state DIRECTORY", err)
		}
		home = filepath.Join(user, ".local", "state")
	}
	c.State = filepath.Join(home, "callpath")
	return nil
}

// places knows where each key was set.
type places struct {
	file *document.Document
	// set are keys that the environment or a flag has set, and its name.
	set map[string]string
}

func (p *places) note(key, by string) {
	if p.set == nil {
		p.set = map[string]string{}
	}
	p.set[key] = by
}

func (p *places) has(key string) bool {
	return p.set[key] != "" || p.file != nil && p.file.Has(key)
}

// finding places a problem: at the flag or variable, or in the file.
func (p *places) finding(path, problem string, valid ...string) *document.Error {
	key, _, _ := strings.Cut(path, "[")
	if by := p.set[key]; by != "" {
		return &document.Error{File: by, Problem: problem, Valid: valid}
	}
	if p.file != nil {
		return p.file.Error(path, problem, valid...)
	}
	return &document.Error{File: "configuration", Path: path, Problem: problem, Valid: valid}
}

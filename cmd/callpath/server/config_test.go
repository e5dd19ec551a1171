package server_test

import (
	"encoding/json"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/callpath/callpath/cmd/callpath/server"
	"github.com/callpath/callpath/topology/document"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(buildDir)
		os.Exit(code)
	}))
}

func TestTheDefaultFileIsTheDefaults(t *testing.T) {
	file := filepath.Join(t.TempDir(), "callpath.yaml")
	ok(t, os.WriteFile(file, server.DefaultFile(), 0o600))
	state := map[string]string{"state": t.TempDir()}
	bare, err := server.Load(server.Source{Flags: state})
	ok(t, err)
	full, err := server.Load(server.Source{File: file, Flags: state})
	ok(t, err)
	a, _ := json.Marshal(bare)
	b, _ := json.Marshal(full)
	if string(a) != string(b) {
		t.Errorf("the printed file is not the defaults:\n%s\n%s", b, a)
	}
}

// Every key of the file is a flag and a variable, and every one is documented.
func TestEveryKeyIsASettingAndDocumented(t *testing.T) {
	d, err := document.Parse("default.yaml", server.DefaultFile())
	ok(t, err)
	var keys []string
	var walk func(path string)
	walk = func(path string) {
		for _, k := range d.Keys(path) {
			full := strings.TrimPrefix(path+"."+k, ".")
			if len(d.Keys(full)) > 0 {
				walk(full)
				continue
			}
			keys = append(keys, full)
		}
	}
	walk("")
	var settings []string
	for _, s := range server.Settings() {
		settings = append(settings, s.Key)
		if s.Usage == "" {
			t.Errorf("%s has no usage", s.Key)
		}
	}
	settings = append(settings, "identity.users", "identity.applications", "identity.external", "identity.rules",
		"meetings.organization", "meetings.policies", "meetings.users", "meetings.groups")
	slices.Sort(keys)
	slices.Sort(settings)
	if !slices.Equal(keys, settings) {
		t.Errorf("keys of the file and settings differ:\n%v\n%v", keys, settings)
	}
	lines := strings.Split(string(server.DefaultFile()), "\n")
	documented := func(line int) bool { // the line before, or the one before a group
		for i := line - 2; i >= 0; i-- {
			text := strings.TrimSpace(lines[i])
			switch {
			case strings.HasPrefix(text, "#"):
				return true
			case text == "":
				return false
			}
		}
		return false
	}
	for _, key := range keys {
		if line, _ := d.At(key); !documented(line) {
			t.Errorf("%s on line %d has no comment", key, line)
		}
	}
}

func TestFlagsWinOverTheEnvironmentAndThatOverTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "callpath.yaml")
	ok(t, os.WriteFile(file, []byte("state: here\nrealm: file\nrelay:\n  udp: [1]\n  tcp: [1]\n  quota: {channels: 1, bandwidth: 1Gbit}\ndrain: 1s\n"), 0o600))
	cfg, err := server.Load(server.Source{
		File: file,
		Environment: []string{"CALLPATH_REALM=environment", "CALLPATH_RELAY_UDP=2,3", "CALLPATH_RELAY_QUOTA_CHANNELS=2",
			"CALLPATH_PORT=tcp://10.0.0.1:80", "HOME=/nowhere", "CALLPATH_SERVICE_HOST=10.0.0.1"},
		Flags: map[string]string{"realm": "flag", "listen": "192.0.2.1, 2001:db8::1", "relay-peers-allow": "10.0.0.0/8,192.168.1.1"},
	})
	ok(t, err)
	for _, c := range []struct {
		name        string
		got, wanted any
	}{
		{"realm", cfg.Realm, "flag"},
		{"udp", cfg.Relay.UDP, []uint16{2, 3}},
		{"tcp", cfg.Relay.TCP, []uint16{1}},
		{"tls", cfg.Relay.TLS, []uint16{5349}},
		{"channels", cfg.Relay.Quota.Channels, server.Count(2)},
		{"bandwidth", cfg.Relay.Quota.Bandwidth, server.Bandwidth(1e9)},
		{"drain", cfg.Drain, server.Duration(time.Second)},
		{"listen", cfg.Listen, []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}},
		{"a path of the file", cfg.State, filepath.Join(filepath.Dir(file), "here")},
		{"allow", cfg.Relay.Peers.Allow, []server.Prefix{{Prefix: netip.MustParsePrefix("10.0.0.0/8")}, {Prefix: netip.MustParsePrefix("192.168.1.1/32")}}},
	} {
		if !reflect.DeepEqual(c.got, c.wanted) {
			t.Errorf("%s is %v, wanted %v", c.name, c.got, c.wanted)
		}
	}
}

func TestAVariableThatIsNearlyASettingIsNamed(t *testing.T) {
	for name, near := range map[string]string{
		"RELAY_QOUTA_CHANNELS": "RELAY_QUOTA_CHANNELS", "LISTENS": "LISTEN", "REALM": "",
		"SOAK": "", "LOAD": "", "PEAK": "", "KILLS": "", "MEETING": "", "PICTURES": "", "PORT": "", "SERVICE_HOST": "", "PORT_3478_TCP_PORT": "",
	} {
		cfg, err := server.Load(server.Source{Environment: []string{"CALLPATH_" + name + "=1"}})
		ok(t, err)
		var wanted []string
		if near != "" {
			wanted = []string{"CALLPATH_" + name + " is no setting and has no effect; did you mean CALLPATH_" + near + "?"}
		}
		if got := cfg.Strange(); !reflect.DeepEqual(got, wanted) {
			t.Errorf("%s: got %q, wanted %q", name, got, wanted)
		}
	}
}

func TestWrongConfigurationsSayWhereAndWhatIsRight(t *testing.T) {
	for _, c := range []struct {
		file   string
		env    string
		flag   [2]string
		wanted []string
	}{
		{file: "relay:\n  upd: [3478]\n", wanted: []string{`callpath.yaml:2:3: relay.upd: unknown key "upd"`, `did you mean "udp"?`}},
		{file: "relay:\n  udp: [70000]\n", wanted: []string{"callpath.yaml:2:9", "70000"}},
		{file: "relay:\n  udp: 3478\n", wanted: []string{"callpath.yaml:2:8: relay.udp: found the number 3478"}},
		{file: "listen: [somewhere]\n", wanted: []string{`callpath.yaml:1:10: listen[0]: found "somewhere", wanted an address`}},
		{file: "listen: []\n", wanted: []string{"callpath.yaml:1:1: listen: is empty"}},
		{file: "listen: [224.0.0.1]\n", wanted: []string{"listen[0]: 224.0.0.1 is no address to listen on"}},
		{file: "drain: soon\n", wanted: []string{`callpath.yaml:1:8: drain: found "soon", wanted a duration such as 30s or 10m`}},
		{file: "drain: 48h\n", wanted: []string{"drain: found 48h0m0s, wanted 0s to 24h0m0s"}},
		{file: "realm: \"\"\n", wanted: []string{`realm: found ""`}},
		{file: "realm: two words\n", wanted: []string{`realm: found "two words"`}},
		{file: "public: https://turn.example.org\n", wanted: []string{"public: found", "without a port"}},
		{file: "certificate: {chain: a.pem}\n", wanted: []string{"certificate: chain and key belong together"}},
		{file: "relay: {peers: {deny: [10.0.0.1/8]}}\n", wanted: []string{"relay.peers.deny[0]", "write 10.0.0.0/8"}},
		{file: "relay: {quota: {bandwidth: 20}}\n", wanted: []string{`found "20", wanted a bandwidth such as 500kbit`}},
		{file: "relay: {quota: {channels: 0}}\n", wanted: []string{"relay.quota.channels: found 0, wanted a whole number from 1 to"}},
		{file: "relay: {min-port: 60000, max-port: 50000}\n", wanted: []string{"relay.min-port: found 60000"}},
		{file: "relay: {tls: [3478]}\n", wanted: []string{"relay.tls[0]: tcp port 3478 is relay.tcp's already"}},
		{file: "relay: {udp: [], tcp: [], tls: [], dtls: []}\nsignaling: {https: []}\n", wanted: []string{"there is no port to listen on"}},
		{file: "relay: {addresses: [0.0.0.0]}\n", wanted: []string{"relay.addresses[0]: 0.0.0.0"}},
		{file: "identity:\n  users:\n    - {id: eve, kind: acs, password: eve}\n    - {id: eve, kind: skype}\n    - {id: no one, kind: acs, password: a, hash: b}\n",
			wanted: []string{`users[1].id: "eve" is there twice`, `users[1].kind: "skype" is not known; valid: acs, teams`, "users[1].password: wanted a file",
				`users[2].id: found "no one", wanted 1 to 64 letters`, "give one of the two"}},
		{file: "identity: {issuer: \"http://calls.example.org\"}\n", wanted: []string{`identity.issuer: found "http://calls.example.org", wanted https://HOST`}},
		{file: "identity: {key-lifetime: 1h}\n", wanted: []string{"identity.key-lifetime: found 1h0m0s, wanted 48h0m0s to 8760h0m0s"}},
		{file: "identity:\n  rules:\n    - {name: a, then: allow, kinds: [pstn]}\n    - {name: a, then: block, networks: [10.0.0.1/8]}\n", wanted: []string{"rules[1].networks[0]", "write 10.0.0.0/8"}},
		{file: "identity:\n  rules:\n    - {name: a, then: allow, kinds: [pstn]}\n    - {name: a, then: block}\n",
			wanted: []string{`rules[0].then: "allow" is not known; valid: block, require-mfa`, `rules[0].kinds[0]: "pstn" is not known`, `rules[1].name: found "a", wanted a name that no other`}},
		{file: "identity:\n  applications: [{id: shop}]\n  external: [{name: contoso}]\n",
			wanted: []string{"applications[0].secret: is empty", "external[0].issuer: is empty", "external[0].audiences: is empty"}},
		{file: "relay: {udp: [3480]}\n", wanted: []string{"processor.udp[0]: udp port 3480 is relay.udp's already"}},
		{file: "processor: {addresses: [224.0.0.1], public: [0.0.0.0], profiles: [AES]}\n",
			wanted: []string{"processor.addresses[0]: 224.0.0.1 is no address", "processor.public[0]: 0.0.0.0", `profiles[0]: "AES" is not known; valid: AEAD_AES_256_GCM`}},
		{file: "processor: {addresses: [\"::\"], public: [192.0.2.1, 192.0.2.2], profiles: []}\n", wanted: []string{"processor.public[1]: 192.0.2.2 is another of its family",
			"processor.addresses[0]: :: is no address that clients can be told", "processor.profiles: is empty"}},
		{file: "meetings:\n  tenant: two words\n  organization: {DisableAnonymousJoining: true}\n  policies:\n    open: {AutoAdmittedUsers: Anybody}\n  users: {alice: closed}\n  groups: [{group: a, policy: b}]\n",
			wanted: []string{`meetings.tenant: found "two words"`, "meetings.organization.DisableAnonymousJoining", "DisableAnonymousJoin,", "policies.open.AutoAdmittedUsers", "EveryoneInCompany",
				`users.alice: "closed" is not known; valid: open`, `groups[0].policy: "b" is not known`}},
		{file: "chat: {roots: [one, one]}\n", wanted: []string{"chat.roots: found", "two different root keys"}},
		{file: "chat: {roots: [a/b, c]}\n", wanted: []string{`chat.roots[0]: found "a/b"`}},
		{file: "signaling: {origins: [\"https://app.example.org\"]}\n", wanted: []string{"signaling.origins[0]", "wanted a host"}},
		{file: "admin: {listen: \"9478\"}\n", wanted: []string{`admin.listen: found "9478"`}},
		{file: "log: {format: xml, level: loud}\n", wanted: []string{`log.format: "xml" is not known; valid: text, json`, `log.level: "loud" is not known; valid: debug`}},
		{file: "realm: a\nrealm: b\n", wanted: []string{`key "realm" stands twice`}},
		{env: "CALLPATH_RELAY_UDP=many", wanted: []string{`CALLPATH_RELAY_UDP: found "many"`}},
		{env: "CALLPATH_RELAY_QUOTA_CHANNELS=-1", wanted: []string{"CALLPATH_RELAY_QUOTA_CHANNELS: found -1"}},
		{flag: [2]string{"relay-quota-channels", "x"}, wanted: []string{`--relay-quota-channels: found "x", wanted a whole number from 1 to 2147483647`}},
		{file: "processor: {limits: {participants: 0}}\n", wanted: []string{"participants: found 0, wanted a whole number from 1 to 2147483647"}},
		{flag: [2]string{"drain", "never"}, wanted: []string{`--drain: found "never"`}},
		{flag: [2]string{"realm", "a b"}, wanted: []string{`--realm: found "a b"`}},
		{flag: [2]string{"admin-pprof", "perhaps"}, wanted: []string{`--admin-pprof: found "perhaps"`}},
		{flag: [2]string{"proxies", "10.0.0.0/99"}, wanted: []string{`--proxies: found "10.0.0.0/99"`}},
	} {
		name := c.file + c.env + c.flag[0]
		t.Run(name, func(t *testing.T) {
			from := server.Source{Flags: map[string]string{}}
			if c.file != "" {
				from.File = filepath.Join(t.TempDir(), "callpath.yaml")
				ok(t, os.WriteFile(from.File, []byte(c.file), 0o600))
			}
			if c.env != "" {
				from.Environment = []string{c.env}
			}
			if c.flag[0] != "" {
				from.Flags[c.flag[0]] = c.flag[1]
			}
			cfg, err := server.Load(from)
			if err == nil {
				t.Fatalf("loaded as %+v", cfg)
			}
			for _, wanted := range c.wanted {
				if !strings.Contains(err.Error(), wanted) {
					t.Errorf("got %q, wanted %q in it", err, wanted)
				}
			}
		})
	}
	if _, err := server.Load(server.Source{File: filepath.Join(t.TempDir(), "none.yaml")}); err == nil {
		t.Error("a file that is not there is no error")
	}
}

func TestTheStateDirectoryFollowsXDG(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	for value, wanted := range map[string]string{
		"/var/lib/x": "/var/lib/x/callpath",
		"":           filepath.Join(home, ".local", "state", "callpath"),
		"relative":   filepath.Join(home, ".local", "state", "callpath"),
	} {
		t.Setenv("XDG_STATE_HOME", value)
		cfg, err := server.Load(server.Source{})
		ok(t, err)
		if cfg.State != wanted {
			t.Errorf("XDG_STATE_HOME=%q: %s, wanted %s", value, cfg.State, wanted)
		}
	}
	t.Setenv("XDG_STATE_HOME", "")
	t.Setenv("HOME", "")
	if _, err := server.Load(server.Source{}); err == nil || !strings.Contains(err.Error(), "--state") {
		t.Errorf("without a home: %v", err)
	}
}

// FuzzLoad reads configurations that are anything: an error or a configuration, never
// a panic, and each error says something.
func FuzzLoad(f *testing.F) {
	f.Add(string(server.DefaultFile()), "3478", "10m")
	f.Add("relay: {udp: [0]}", "a,b,,", "\x00")
	f.Add("", "[", "{")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, content, list, value string) {
		file := filepath.Join(dir, "callpath.yaml")
		ok(t, os.WriteFile(file, []byte(content), 0o600))
		_, err := server.Load(server.Source{File: file, Environment: []string{"CALLPATH_LISTEN=" + list},
			Flags: map[string]string{"relay-udp": list, "drain": value, "state": value}})
		if err != nil && strings.TrimSpace(err.Error()) == "" {
			t.Error("an error without words")
		}
	})
}

func TestCheckReadsTheFilesAndMakesNothing(t *testing.T) {
	dir := t.TempDir()
	chain, key := issue(t, dir)
	secret, short, lines, huge := filepath.Join(dir, "secret"), filepath.Join(dir, "short"), filepath.Join(dir, "lines"), filepath.Join(dir, "huge")
	write(t, secret, "a secret of the relay")
	write(t, short, "short")
	write(t, lines, "first line of two\nsecond line of two")
	write(t, huge, strings.Repeat("x", 2<<20))
	for _, c := range []struct {
		flags  map[string]string
		wanted string
	}{
		{map[string]string{"certificate-chain": chain, "certificate-key": key, "relay-secrets": secret}, ""},
		{map[string]string{}, ""},
		{map[string]string{"relay-secrets": short}, "has 5 bytes, wanted 16 or more"},
		{map[string]string{"relay-secrets": lines}, "has several lines"},
		{map[string]string{"relay-secrets": huge}, "at most 1048576 are read"},
		{map[string]string{"relay-secrets": dir}, "is not a regular file"},
		{map[string]string{"relay-secrets": secret + "," + secret}, "is the same as another"},
		{map[string]string{"relay-secrets": filepath.Join(dir, "none")}, "no such file"},
		{map[string]string{"certificate-chain": secret, "certificate-key": key}, "certificate " + secret},
		{map[string]string{"certificate-chain": chain, "certificate-key": filepath.Join(dir, "none")}, "certificate's key"},
		{map[string]string{"certificate-chain": filepath.Join(dir, "none"), "certificate-key": key}, "certificate: "},
		{map[string]string{"listen": "192.0.2.77,0.0.0.0"}, ""},
	} {
		state := filepath.Join(t.TempDir(), "state")
		c.flags["state"] = state
		cfg, err := server.Load(server.Source{Flags: c.flags})
		ok(t, err)
		err = cfg.Check(slog.New(slog.DiscardHandler))
		switch {
		case c.wanted == "" && err != nil:
			t.Errorf("%v: %v", c.flags, err)
		case c.wanted != "" && (err == nil || !strings.Contains(err.Error(), c.wanted)):
			t.Errorf("%v: got %v, wanted %q", c.flags, err, c.wanted)
		}
		if _, err := os.Stat(state); err == nil {
			t.Errorf("%v: the state directory was made", c.flags)
		}
	}
}

func TestExplainNamesTheRuleThatTheAuditHas(t *testing.T) {
	cfg, err := server.Load(server.Source{Flags: map[string]string{"state": t.TempDir(), "listen": "127.0.0.1",
		"relay-peers-allow": "10.1.0.0/16", "relay-peers-deny": "203.0.113.0/24", "relay-own": "198.51.100.1",
		"processor-public": "198.51.100.2", "processor-udp": "3480,3481"}})
	ok(t, err)
	for _, c := range []struct {
		peer    string
		allowed bool
		rule    string
		why     string
	}{
		{"10.0.0.1", false, "private", "relay.peers.allow with 10.0.0.1/32 would open it"},
		{"10.1.2.3", true, "allow 10.1.0.0/16", "relay.peers.allow"},
		{"203.0.113.1", false, "deny 203.0.113.0/24", "deny wins"},
		{"127.0.0.1", true, "relayed-address", "only ports that are live"},
		{"198.51.100.2", true, "media-processor", "UDP port 3480 and 3481 is opened"},
		{"198.51.100.1", false, "own-address", "denied by default"},
		{"192.0.2.1", true, "", "no rule denies it"},
		{"2002:a00:1::", false, "private (6to4)", "2002:a00:1::/128"},
	} {
		v, err := cfg.Explain(netip.MustParseAddr(c.peer))
		ok(t, err)
		if v.Allowed != c.allowed || v.Rule != c.rule || !strings.Contains(v.Why, c.why) {
			t.Errorf("%s: %+v, wanted %v by %q, %q", c.peer, v, c.allowed, c.rule, c.why)
		}
	}
}

package runner_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/scenarios/runner"
)

// The names that tshark's numbers stand for, by IANA's registries.
var (
	wireVersions = map[string]string{"0xfefd": "DTLS 1.2", "0xfeff": "DTLS 1.0"}
	wireSuites   = map[string]string{
		"0xc02b": "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
		"0xc02c": "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
		"0xc00a": "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
		"0xc02f": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
		"0xc030": "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
	}
	wireProfiles = map[string]string{
		"0x0001": "SRTP_AES128_CM_HMAC_SHA1_80",
		"0x0007": "SRTP_AEAD_AES_128_GCM",
		"0x0008": "SRTP_AEAD_AES_256_GCM",
	}
)

// tshark returns the lines of one reading of a capture, or skips the test where
// there is no tshark.
func tshark(t *testing.T, args ...string) []string {
	t.Helper()
	if _, err := exec.LookPath("tshark"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("tshark is missing, and CI must have it")
		}
		t.Skip("tshark is not installed (Debian package tshark)")
	}
	cmd := exec.Command("tshark", args...)
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark %s: %s: %s", strings.Join(args, " "), err, errOut.String())
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == '\n' })
}

// captured runs a scenario of the library and leaves its capture and key log in
// files.
func captured(t *testing.T, name string) (r *result.Run, pcap, keys string) {
	t.Helper()
	pcap, keys = filepath.Join(t.TempDir(), "run.pcapng"), filepath.Join(t.TempDir(), "run.keylog")
	file, err := os.Create(pcap)
	if err != nil {
		t.Fatal(err)
	}
	keyLog, err := negotiation.KeyLogFile(keys)
	if err != nil {
		t.Fatal(err)
	}
	r = runner.Run(t.Context(), scenario(t, name), runner.Options{Capture: file, KeyLog: keyLog})
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if err := keyLog.Close(); err != nil {
		t.Fatal(err)
	}
	mustMeet(t, r)
	return r, pcap, keys
}

// An independent reader of the packets gives the same negotiation as the record.
// The calls are direct: tshark does not look for DTLS in TURN's channels.
func TestTsharkReadsTheSameFromTheCapture(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"fig4-external-direct", "certificate-rsa", "srtp-aes-cm-128-hmac-sha1-80"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run, pcap, keys := captured(t, name)
			hosts := map[string]string{}
			for _, p := range run.Participants {
				hosts[p.Name] = p.Host
			}
			for _, p := range run.Participants {
				if len(p.Negotiation.DTLS) == 0 {
					t.Fatalf("%s has no record of DTLS", p.Name)
				}
				record := p.Negotiation.DTLS[len(p.Negotiation.DTLS)-1]
				lines := tshark(t, "-r", pcap, "-Y",
					fmt.Sprintf(`dtls.handshake.type == 2 && frame.interface_name contains "%s/"`, p.Host),
					"-T", "fields", "-E", "occurrence=f", "-e", "dtls.handshake.version",
					"-e", "dtls.handshake.ciphersuite", "-e", "dtls.use_srtp.protection_profile")
				if len(lines) == 0 {
					t.Fatalf("tshark sees no ServerHello at %s", p.Host)
				}
				seen := strings.Split(lines[len(lines)-1], "\t")
				for _, c := range []struct{ what, seen, recorded string }{
					{"version", wireVersions[seen[0]], record.Version},
					{"cipher suite", wireSuites[seen[1]], record.CipherSuite},
					{"SRTP profile", wireProfiles[seen[2]], record.SRTPProfile},
				} {
					if c.seen != c.recorded || c.seen == "" {
						t.Errorf("%s, %s: tshark sees %q (%v), the record has %q", p.Name, c.what, c.seen, seen, c.recorded)
					}
				}
			}
			// With the key log the Finished messages, the first encrypted ones, open.
			finished := tshark(t, "-r", pcap, "-o", "tls.keylog_file:"+keys, "-Y", "dtls.handshake.type == 20", "-T", "fields", "-e", "frame.number")
			if len(finished) == 0 {
				t.Error("tshark decrypts no Finished message with the key log")
			}
		})
	}
}

func TestTsharkSeesTheSameUsersAndPeersAtTheRelay(t *testing.T) {
	t.Parallel()
	run, pcap, _ := captured(t, "fig3-external-relayed")
	for _, p := range run.Participants {
		at := fmt.Sprintf(`frame.interface_name contains "%s/"`, p.Host)
		users := tshark(t, "-r", pcap, "-Y", at+" && stun.type.method == 0x003 && stun.att.username", "-T", "fields", "-e", "stun.att.username")
		// Method 8 is CreatePermission, 9 ChannelBind: their one address is the peer's.
		peers := tshark(t, "-r", pcap, "-Y", at+" && stun.type.class == 0 && (stun.type.method == 0x008 || stun.type.method == 0x009)",
			"-T", "fields", "-E", "occurrence=f", "-e", "stun.att.ipv4")
		used := 0
		for _, a := range p.Negotiation.TURN {
			if !a.Relayed.IsValid() {
				continue
			}
			used++
			if !slices.Contains(users, a.Username) {
				t.Errorf("%s: the record has user %q, tshark sees %q", p.Name, a.Username, users)
			}
			for _, peer := range a.Peers {
				if !slices.Contains(peers, peer.Addr().String()) {
					t.Errorf("%s: the record has peer %s, tshark sees %q", p.Name, peer.Addr(), peers)
				}
			}
		}
		if used == 0 {
			t.Errorf("%s: the record has no allocation", p.Name)
		}
	}
}

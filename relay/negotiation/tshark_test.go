package negotiation_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/callpath/callpath/relay/negotiation"
)

// tshark reads the same packets independently.
func TestTsharkAgrees(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not installed")
	}
	w := newWire(t, negotiation.Config{})
	mustHandshake(t, w, newPeers(ecdsaCertificate(t, 0), rsaCertificate(t)))
	path := filepath.Join(t.TempDir(), "call.pcap")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	capture := pcapgo.NewWriter(f)
	if err := capture.WriteFileHeader(65535, layers.LinkTypeRaw); err != nil {
		t.Fatal(err)
	}
	for _, p := range w.packets {
		info := gopacket.CaptureInfo{Timestamp: epoch, CaptureLength: len(p), Length: len(p)}
		if err := capture.WritePacket(info, p); err != nil {
			t.Fatal(err)
		}
	}
	fields := func(filter string, names ...string) []string {
		args := []string{"-n", "-r", path, "-Y", filter, "-T", "fields", "-E", "occurrence=f"}
		for _, n := range names {
			args = append(args, "-e", n)
		}
		out, err := exec.CommandContext(soon(t), tshark, args...).Output()
		if err != nil {
			t.Fatalf("tshark %s: %v", strings.Join(args, " "), err)
		}
		line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		return strings.Split(line, "\t")
	}
	got := fields("dtls.handshake.type == 2", "dtls.handshake.version", "dtls.handshake.ciphersuite", "dtls.use_srtp.protection_profile")
	d := only(t, w.recorders[0])
	equal(t, "version", d.Version, "DTLS 1.2")
	equal(t, "suite", d.CipherSuite, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256")
	equal(t, "profile", d.SRTPProfile, "SRTP_AEAD_AES_128_GCM")
	if want := []string{"0xfefd", "0xc02f", "0x0007"}; !slices.Equal(got, want) {
		t.Errorf("tshark: version, suite and profile %v, want %v", got, want)
	}
}

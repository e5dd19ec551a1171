package negotiation_test

import (
	"strings"
	"testing"

	"github.com/callpath/callpath/relay/negotiation"
)

// A record has the descriptions that were exchanged, without what nobody should read.
func TestDescriptionsAreKeptWithoutSecrets(t *testing.T) {
	r := negotiation.NewRecorder(negotiation.Config{})
	const fingerprint = "sha-256 AB:CD"
	offer := strings.Join([]string{"v=0", "k=prompt", "m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=ice-ufrag:frag", "a=ice-pwd:the password of ICE",
		"a=ICE-PWD:in capitals", "a=fingerprint:sha-256 ab:cd", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:the key|2^20",
		"a=crypto:2 without a key", "a=key-mgmt:mikey the key", "a=ice-pwd:at the end"}, "\r\n")
	r.Description(true, "offer", offer)
	r.Description(false, "answer", "v=0\n")
	all := r.Record().Descriptions
	if len(all) != 2 || all[1] != (negotiation.Description{Side: "remote", Kind: "answer", SDP: "v=0\n"}) {
		t.Fatalf("descriptions: %+v", all)
	}
	want := strings.Join([]string{"v=0", "k=REDACTED", "m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=ice-ufrag:frag", "a=ice-pwd:REDACTED",
		"a=ICE-PWD:REDACTED", "a=fingerprint:sha-256 ab:cd", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:REDACTED",
		"a=crypto:REDACTED", "a=key-mgmt:REDACTED", "a=ice-pwd:REDACTED"}, "\r\n")
	equal(t, "SDP", all[0].SDP, want)
	equalLists(t, "fingerprints", all[0].Fingerprints(), []string{fingerprint})
	for range 40 {
		r.Description(true, "offer", offer)
	}
	if n := len(r.Record().Descriptions); n > 16 {
		t.Errorf("%d descriptions are kept", n)
	}
}

package negotiation_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/pion/stun/v4"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/relay/negotiation/wire/ip/iptest"
)

func TestSTUNServers(t *testing.T) {
	i := newICE(t)
	silent, refusing := netip.MustParseAddrPort("203.0.113.1:3478"), netip.MustParseAddrPort("203.0.113.2:3478")
	good := netip.MustParseAddrPort("203.0.113.3:3478")
	i.show(true, aliceHost, silent, message(t, i.id(), stun.ClassRequest))
	id := i.id()
	i.show(true, aliceHost, refusing, message(t, id, stun.ClassRequest))
	i.show(false, aliceHost, refusing, message(t, id, stun.ClassErrorResponse, stun.ErrorCodeAttribute{Code: 500, Reason: []byte("No")}))
	id = i.id()
	i.show(true, aliceHost, good, message(t, id, stun.ClassRequest))
	i.show(false, aliceHost, good, message(t, id, stun.ClassSuccessResponse, mapped(alicePublic)))
	rec := i.r.Record()
	equalLists(t, "problems", rec.Problems, []string{
		"STUN server 203.0.113.2:3478 refused: 500 No",
		"STUN server 203.0.113.1:3478 did not answer",
	})
	equal(t, "checks", len(rec.ICE.Checks), 0)
}

func TestVerdictsBeforeDTLS(t *testing.T) {
	i := newICE(t)
	equal(t, "verdict", i.r.Record().Verdict, "nothing was seen")
	i.r.Description(true, "offer", sdp("actpass", "alic"))
	equal(t, "verdict", i.r.Record().Verdict, "ICE gathered no candidates")
	i.r.Candidate(true, "candidate:1 1 udp 2130706431 10.0.0.10 50000 typ host")
	equal(t, "verdict", i.r.Record().Verdict, "ICE gathered candidates, but those of the peer never came")
	i.r.Candidate(false, "candidate:1 1 udp 2130706431 0f3c2f6e-9d3a.local 60000 typ host")
	equal(t, "verdict", i.r.Record().Verdict, "ICE gathered candidates but sent no checks")
	i.received(aliceHost, bobHost, false, mapped(bobHost))
	equal(t, "verdict", i.r.Record().Verdict, "ICE checks received, none sent")
	i.sent(aliceHost, bobHost, false)
	equal(t, "verdict", i.r.Record().Verdict, "ICE checks sent, none answered")
	// A failure told by a stack is a problem too.
	i.r.Failure("ice", "agent failed")
	contains(t, "problems", i.r.Record().Problems, "ice: agent failed")
}

func TestCandidateThatCantBeRead(t *testing.T) {
	for line, want := range map[string]string{
		"candidate:1 1 udp":                                           "is not of the form",
		"candidate:1 1 udp 1 10.0.0.1 1 type host":                    "is not of the form",
		"candidate:1 1 udp 1 10.0.0.1 1 typ hsot":                     "valid: host, srflx, prflx, relay",
		"candidate:1 1 udp x 10.0.0.1 1 typ host":                     "valid: 1 to 2147483647",
		"candidate:1 1 udp 1 10.0.0 1 typ host":                       "valid: an IP address or a name in .local",
		"candidate:1 1 udp 1 10.0.0.1 65536 typ host":                 "valid: 0 to 65535",
		"candidate:1 1 udp 1 " + strings.Repeat("x", 5000) + " 1 typ": "is not of the form",
	} {
		r := negotiation.NewRecorder(negotiation.Config{})
		r.Candidate(false, line)
		rec := r.Record()
		contains(t, "problems", rec.Problems, want)
		equal(t, "candidates", len(rec.ICE.Remote), 0)
		if n := len(rec.Problems[0]); n > 1000 {
			t.Errorf("a problem of %d bytes", n)
		}
	}
}

// Whatever comes, lists stay short.
func TestMemoryIsBounded(t *testing.T) {
	i := newICE(t)
	for n := range 6000 {
		remote := netip.AddrPortFrom(bobHost.Addr(), uint16(n+1024))
		id := [12]byte{byte(n), byte(n >> 8), 1}
		i.show(true, aliceHost, remote, message(t, id, stun.ClassRequest, stun.NewUsername("bobu:alic"), role(true)))
		i.show(false, aliceHost, remote, message(t, id, stun.ClassSuccessResponse, mapped(remote)))
		i.r.Candidate(false, fmt.Sprintf("candidate:%d 1 udp 1 10.0.0.1 %d typ host", n, n))
		i.r.Failure("dtls", fmt.Sprint(n))
		i.r.KeyLog(fmt.Sprintf("CLIENT_RANDOM %064x %096x", n, n))
		i.show(true, aliceHost, remote, rtpPacket(uint32(n), 1, 20))
		request := append([]byte(nil), allocateRequest...)
		request[8], request[9] = byte(n), byte(n>>8)
		i.show(true, aliceHost, remote, request)
		i.r.Packet(epoch, true, iptest.TCP(aliceHost, remote, 1, 0x10, []byte{0}))
	}
	rec := i.r.Record()
	for what, n := range map[string]int{
		"checks": len(rec.ICE.Checks), "local": len(rec.ICE.Local), "remote": len(rec.ICE.Remote),
		"allocations": len(rec.TURN), "streams": len(rec.SRTP), "problems": len(rec.Problems),
	} {
		if n > 2048 {
			t.Errorf("%d %s", n, what)
		}
	}
	equal(t, "streams", len(rec.SRTP), 512)
	equal(t, "allocations", len(rec.TURN), 64)
}

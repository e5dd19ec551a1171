package negotiation_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	dtls3 "github.com/pion/dtls/v3"
	"github.com/pion/rtp"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/relay/negotiation/wire/ip/iptest"
)

// jitterOf feeds packets of 20 ms that arrive at the given times.
func jitterOf(arrivals []time.Duration, hz uint32) time.Duration {
	r := negotiation.NewRecorder(negotiation.Config{})
	r.ClockRate(96, hz)
	for i, at := range arrivals {
		p := rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 96, SequenceNumber: uint16(i), Timestamp: uint32(i) * hz / 50, SSRC: 9}}
		b, _ := p.Marshal()
		r.Packet(epoch.Add(at), false, iptest.UDP(bob, alice, b))
	}
	return r.Record().SRTP[0].Jitter
}

// RFC 3550, section 6.4.1.
func TestJitter(t *testing.T) {
	const ms = time.Millisecond
	steady := []time.Duration{0, 20 * ms, 40 * ms, 60 * ms}
	equal(t, "steady", jitterOf(steady, 48000), 0)
	// One difference of 16 ms counts a sixteenth.
	equal(t, "late once", jitterOf([]time.Duration{0, 20 * ms, 56 * ms}, 48000), ms)
	// 1 ms, then 15/16 of it plus a sixteenth of 16 ms.
	equal(t, "late and back", jitterOf([]time.Duration{0, 20 * ms, 56 * ms, 60 * ms}, 8000), 1938*time.Microsecond)
	equal(t, "clock unknown", jitterOf([]time.Duration{0, 20 * ms, 56 * ms}, 0), 0)
}

// The clock rate comes with the description, where nobody tells it.
func TestClockRateOfTheDescription(t *testing.T) {
	r := negotiation.NewRecorder(negotiation.Config{})
	r.Description(true, "offer", sdp("", ""))
	for i, at := range []time.Duration{0, 20, 56} {
		p := rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 111, SequenceNumber: uint16(i), Timestamp: uint32(i) * 960, SSRC: 9}}
		b, _ := p.Marshal()
		r.Packet(epoch.Add(at*time.Millisecond), false, iptest.UDP(bob, alice, b))
	}
	equal(t, "jitter", r.Record().SRTP[0].Jitter, time.Millisecond)
}

// RFC 3550, appendix A.1: a jump is believed once a second packet follows it.
func TestSequenceJump(t *testing.T) {
	for _, tt := range []struct {
		name    string
		numbers []uint16
		lost    uint64
	}{
		{"one stray packet", []uint16{1, 2, 20000, 3, 4}, 0},
		{"a jump", []uint16{1, 2, 20000, 20001, 20002}, 0},
		{"a jump backwards", []uint16{20000, 20001, 1, 2, 3}, 0},
		{"a gap", []uint16{1, 2, 2000}, 1997},
		{"before the first", []uint16{0, 65535, 1}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := negotiation.NewRecorder(negotiation.Config{})
			for _, n := range tt.numbers {
				p := rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: n, SSRC: 9}}
				b, _ := p.Marshal()
				r.Packet(epoch, false, iptest.UDP(bob, alice, b))
			}
			s := r.Record().SRTP[0]
			equal(t, "packets", s.Packets, uint64(len(tt.numbers)))
			equal(t, "lost", s.Lost, tt.lost)
			equal(t, "replayed", s.Replayed, 0)
		})
	}
}

// The path that each packet of media takes allocates nothing; nor does the way out
// of ChannelData.
func TestMediaPathDoesNotAllocate(t *testing.T) {
	for _, profile := range []dtls3.SRTPProtectionProfile{dtls3.SRTP_AEAD_AES_128_GCM, dtls3.SRTP_AES128_CM_HMAC_SHA1_80} {
		w, s := keyedCall(t, negotiation.Config{}, profile)
		var packets [][]byte
		for n := range uint16(400) {
			packet := s[0].rtp(t, 1, n)
			if n%2 == 1 {
				packet = append([]byte{0x40, 0, 0, byte(len(packet))}, packet...)
			}
			packets = append(packets, iptest.UDP(alice, bob, packet))
		}
		next := 0
		for ; next < 50; next++ {
			w.recorders[0].Packet(epoch, true, packets[next])
		}
		got := testing.AllocsPerRun(300, func() {
			w.recorders[0].Packet(epoch, true, packets[next])
			next++
		})
		equal(t, "allocations a packet", got, 0)
		equal(t, "verified", streamOf(t, w.recorders[0], 1, "sent").Verified, uint64(next))
	}
}

// No event, log line or record has a key.
func TestKeysAreNotWritten(t *testing.T) {
	var log strings.Builder
	var keys []string
	var events []negotiation.Event
	cfg := negotiation.Config{
		Log:     slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		OnEvent: func(e negotiation.Event) { events = append(events, e) },
	}
	cfg.Keys = true
	r := negotiation.NewRecorder(cfg)
	random := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		key := fmt.Sprintf("%016x%016x%016x%016x%016x%016x", random.Uint64(), random.Uint64(), random.Uint64(), random.Uint64(), random.Uint64(), random.Uint64())
		keys = append(keys, key)
		fmt.Fprintf(r, "CLIENT_RANDOM %064x %s\n# a comment\nSERVER_RANDOM 00 00\n", random.Uint64(), key)
	}
	w, s := keyedCall(t, cfg, dtls3.SRTP_AEAD_AES_128_GCM)
	w.pass(0, s[0].rtp(t, 1, 1))
	text := log.String() + fmt.Sprintf("%+v %+v", events, w.recorders[0].Record())
	for _, key := range keys {
		if strings.Contains(strings.ToLower(text), key) {
			t.Fatalf("key %s was written", key)
		}
	}
	if !strings.Contains(text, negotiation.EventKeys) {
		t.Fatal("no event says that keys are known")
	}
}

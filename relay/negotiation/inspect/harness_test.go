package inspect_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/pion/stun/v4"
	"go.uber.org/goleak"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/relay/negotiation/inspect"
	"github.com/callpath/callpath/relay/negotiation/wire/ip/iptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var epoch = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// seen is one packet of a capture.
type seen struct {
	at       time.Duration
	outbound bool
	packet   []byte
}

// call is what negotiation's testdata has of a real call that went through a
// relay: every packet at alice's interface, the descriptions and the key log. The
// record of it, in want, was made of all of that.
type call struct {
	packets       []seen
	offer, answer string
	keyLog        string
	want          negotiation.Record
}

const (
	aliceName = "10.0.0.10"
	relayName = "20.202.0.1"
)

func recorded(t testing.TB) call {
	t.Helper()
	fail := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	var c call
	text, err := os.ReadFile("../testdata/call.tape")
	fail(err)
	for line := range strings.Lines(string(text)) {
		kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		f := strings.SplitN(rest, " ", 3)
		switch kind {
		case "packet":
			us, err := strconv.ParseInt(f[0], 10, 64)
			fail(err)
			packet, err := hex.DecodeString(f[2])
			fail(err)
			c.packets = append(c.packets, seen{time.Duration(us) * time.Microsecond, f[1] == "true", packet})
		case "description":
			sdp, err := strconv.Unquote(f[2])
			fail(err)
			if f[0] == "true" {
				c.offer = sdp
			} else {
				c.answer = sdp
			}
		case "keylog":
			c.keyLog += rest + "\n"
		}
	}
	text, err = os.ReadFile("../testdata/call.json")
	fail(err)
	fail(json.Unmarshal(text, &c.want))
	return c
}

// options are all that is known of the call beside its packets.
func (c call) options() inspect.Options {
	return inspect.Options{
		SDP:    []inspect.Description{{File: "offer.sdp", Text: c.offer}, {File: "answer.sdp", Text: c.answer}},
		KeyLog: strings.NewReader(c.keyLog),
	}
}

// pcap writes packets as a pcap file with nanoseconds, each after a head.
func pcap(t testing.TB, link layers.LinkType, head func(seen) []byte, packets []seen) []byte {
	t.Helper()
	var b bytes.Buffer
	w := pcapgo.NewWriterNanos(&b)
	if err := w.WriteFileHeader(65535, link); err != nil {
		t.Fatal(err)
	}
	for _, p := range packets {
		frame := p.packet
		if head != nil {
			frame = append(head(p), p.packet...)
		}
		info := gopacket.CaptureInfo{Timestamp: epoch.Add(p.at), CaptureLength: len(frame), Length: len(frame)}
		if err := w.WritePacket(info, frame); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// ethernet is the head of a frame with an IPv4 or IPv6 packet.
func ethernet(p seen) []byte {
	if p.packet[0]>>4 == 6 {
		return append(make([]byte, 12), 0x86, 0xdd)
	}
	return append(make([]byte, 12), 8, 0)
}

// cooked is a head of Linux' cooked capture, which tells the direction.
func cooked(p seen) []byte {
	head := make([]byte, 16)
	if p.outbound {
		head[1] = 4
	}
	head[14] = 8
	return head
}

// host is the packets at one interface, "host/interface".
type host struct {
	name    string
	packets []seen
}

// pcapng writes a file as topology/sim/capture does.
func pcapng(t testing.TB, application string, hosts ...host) []byte {
	t.Helper()
	var b bytes.Buffer
	var w *pcapgo.NgWriter
	for _, h := range hosts {
		described := pcapgo.NgInterface{Name: h.name, LinkType: layers.LinkTypeRaw}
		var on int
		var err error
		if w == nil {
			w, err = pcapgo.NewNgWriterInterface(&b, described, pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{Application: application}})
		} else {
			on, err = w.AddInterface(described)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range h.packets {
			flags := pcapgo.NgEpbFlags{Direction: pcapgo.NgEpbFlagDirectionInbound}
			if p.outbound {
				flags.Direction = pcapgo.NgEpbFlagDirectionOutbound
			}
			info := gopacket.CaptureInfo{Timestamp: epoch.Add(p.at), CaptureLength: len(p.packet), Length: len(p.packet), InterfaceIndex: on}
			if err := w.WritePacketWithOptions(info, p.packet, pcapgo.NgPacketOptions{Flags: &flags}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// source is a file of the given bytes.
func source(b []byte) inspect.Source {
	return inspect.Source{Name: "call.pcap", Size: int64(len(b)), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b)), nil
	}}
}

func read(t *testing.T, b []byte, o inspect.Options) *inspect.Report {
	t.Helper()
	r, err := inspect.Read(t.Context(), source(b), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// only is the one leg of a report.
func only(t *testing.T, r *inspect.Report) inspect.Leg {
	t.Helper()
	if len(r.Legs) != 1 {
		t.Fatalf("got %d legs %v, want 1", len(r.Legs), names(r))
	}
	return r.Legs[0]
}

func names(r *inspect.Report) []string {
	var all []string
	for _, l := range r.Legs {
		all = append(all, l.Leg)
	}
	return all
}

// text is a report as people see it.
func text(t *testing.T, r *inspect.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.Text(&b, false); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func contains(t *testing.T, what, got string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("%s: no %q in:\n%s", what, w, got)
		}
	}
}

// moved gives each packet other addresses; ports stay.
func moved(packets []seen, to map[string]string) []seen {
	var all []seen
	for _, p := range packets {
		p.packet = bytes.Clone(p.packet)
		for _, at := range []int{12, 16} {
			a := netip.AddrFrom4([4]byte(p.packet[at:]))
			if other, ok := to[a.String()]; ok {
				copy(p.packet[at:], netip.MustParseAddr(other).AsSlice())
			}
		}
		all = append(all, p)
	}
	return all
}

// check is an ICE check between two agents, and its response.
func check(t testing.TB, from, to netip.AddrPort, mine, theirs string) (request, response []byte) {
	t.Helper()
	controlling := stun.RawAttribute{Type: stun.AttrICEControlling, Value: make([]byte, 8)}
	priority := stun.RawAttribute{Type: stun.AttrPriority, Value: []byte{0x6e, 0, 1, 0xff}}
	m, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername(theirs+":"+mine), controlling, priority, stun.NewShortTermIntegrity("password"))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := stun.Build(stun.NewTransactionIDSetter(m.TransactionID), stun.BindingSuccess,
		&stun.XORMappedAddress{IP: from.Addr().AsSlice(), Port: int(from.Port())}, stun.NewShortTermIntegrity("password"))
	if err != nil {
		t.Fatal(err)
	}
	return iptest.UDP(from, to, m.Raw), iptest.UDP(to, from, answer.Raw)
}

// timed puts packets a millisecond apart.
func timed(packets ...[]byte) []seen {
	var all []seen
	for i, p := range packets {
		all = append(all, seen{at: time.Duration(i+1) * time.Millisecond, packet: p})
	}
	return all
}

var errTape = errors.New("the tape is worn")

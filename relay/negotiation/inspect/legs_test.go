package inspect_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/pion/stun/v4"

	"github.com/callpath/callpath/relay/negotiation/inspect"
	"github.com/callpath/callpath/relay/negotiation/wire/ip"
	"github.com/callpath/callpath/relay/negotiation/wire/ip/iptest"
)

func addr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// sameNames compares the legs of a capture.
func sameNames(t *testing.T, r *inspect.Report, want ...string) {
	t.Helper()
	if got := names(r); !slices.Equal(got, want) {
		t.Errorf("got the legs %q, want %q; notes %q", got, want, r.Notes)
	}
}

// checks are one check each way between two agents.
func checks(t *testing.T, a, b netip.AddrPort, ua, ub string) [][]byte {
	t.Helper()
	q1, r1 := check(t, a, b, ua, ub)
	q2, r2 := check(t, b, a, ub, ua)
	return [][]byte{q1, r1, q2, r2}
}

// gathering is a request to a STUN server, and its answer.
func gathering(t *testing.T, from, server netip.AddrPort) [][]byte {
	t.Helper()
	m, err := stun.Build(stun.TransactionID, stun.BindingRequest)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := stun.Build(stun.NewTransactionIDSetter(m.TransactionID), stun.BindingSuccess,
		&stun.XORMappedAddress{IP: []byte{203, 0, 113, 9}, Port: 4000})
	if err != nil {
		t.Fatal(err)
	}
	return [][]byte{iptest.UDP(from, server, m.Raw), iptest.UDP(server, from, answer.Raw)}
}

func TestLegsOfForeignCaptures(t *testing.T) {
	a, b := addr("192.0.2.1:5000"), addr("198.51.100.2:6000")
	a6, b6 := addr("[2001:db8::1]:5000"), addr("[2001:db8:2::2]:6000")
	nat := addr("203.0.113.7:7000")
	server := addr("20.202.0.1:3478")
	local := []netip.Addr{b.Addr()}
	behind, beyond := func() ([][]byte, [][]byte) { // the same checks on both sides of a NAT
		inside := checks(t, a, b, "alice", "bobby")
		var outside [][]byte
		for _, p := range moved(timed(inside...), map[string]string{a.Addr().String(): nat.Addr().String()}) {
			outside = append(outside, p.packet)
		}
		return inside, outside
	}()
	loop1, loop2 := addr("127.0.0.1:5000"), addr("127.0.0.1:6000")
	for name, tt := range map[string]struct {
		packets [][]byte
		local   []netip.Addr
		want    []string
	}{
		"two endpoints and nobody else: each": {checks(t, a, b, "alice", "bobby"), nil, []string{"192.0.2.1", "198.51.100.2"}},
		"the one that is asked for":           {checks(t, a, b, "alice", "bobby"), local, []string{"198.51.100.2"}},
		"taken where all packets come by": {slices.Concat(gathering(t, a, server), checks(t, a, b, "alice", "bobby")), nil,
			[]string{"192.0.2.1"}},
		"one agent on IPv4 and IPv6": {slices.Concat(checks(t, a, b, "alice", "bobby"), checks(t, a6, b6, "alice", "bobby")), nil,
			[]string{"192.0.2.1, 2001:db8::1", "198.51.100.2, 2001:db8:2::2"}},
		"agents that meet late": {slices.Concat(checks(t, a, b, "alice", "bobby"), checks(t, addr("192.0.2.3:5001"), b6, "other", "bobb2"),
			checks(t, addr("192.0.2.3:5001"), addr("198.51.100.9:1025"), "alice", "bobby")), nil,
			[]string{"192.0.2.1, 192.0.2.3", "198.51.100.2, 198.51.100.9", "2001:db8:2::2"}},
		"agents that turn out to be one": {slices.Concat(checks(t, a, b, "alice", "bobby"), checks(t, addr("192.0.2.3:5001"), b, "other", "bobby"),
			checks(t, addr("192.0.2.3:5002"), b6, "alice", "bobb2")), nil,
			[]string{"198.51.100.2", "192.0.2.3, 192.0.2.1", "2001:db8:2::2"}},
		"before and behind a NAT":          {slices.Concat(behind[:1], beyond[:2], behind[1:2], beyond[2:3], behind[2:], beyond[3:]), nil, []string{"192.0.2.1", "198.51.100.2"}},
		"both on one machine, by loopback": {checks(t, loop1, loop2, "alice", "bobby"), nil, []string{"127.0.0.1:5000", "127.0.0.1:6000"}},
		"on one machine with the server, each with two sockets": {slices.Concat(gathering(t, addr("127.0.0.1:5001"), addr("127.0.0.1:3478")),
			checks(t, loop1, loop2, "alice", "bobby"), checks(t, addr("127.0.0.1:5001"), loop2, "alice", "bobby")), nil,
			[]string{"127.0.0.1:5001, 127.0.0.1:5000", "127.0.0.1:6000"}},
		"one that only gathered": {gathering(t, a, server), nil, []string{"192.0.2.1"}},
		"nothing of interest":    {[][]byte{iptest.UDP(addr("192.0.2.1:53"), b, []byte{0x80, 0x60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := read(t, pcap(t, layers.LinkTypeEthernet, ethernet, timed(tt.packets...)), inspect.Options{Local: tt.local})
			sameNames(t, r, tt.want...)
			if len(tt.want) == 0 {
				contains(t, "notes", strings.Join(r.Notes, "\n"), "no endpoint")
			}
		})
	}
}

// A capture that says which way packets went says whose capture it is.
func TestDirectionsTellTheLocalSide(t *testing.T) {
	a, b := addr("192.0.2.1:5000"), addr("198.51.100.2:6000")
	packets := timed(checks(t, a, b, "alice", "bobby")...)
	for i := range packets {
		packets[i].outbound = i == 1 || i == 2 // what bob sends
	}
	sameNames(t, read(t, pcap(t, layers.LinkTypeLinuxSLL, cooked, packets), inspect.Options{}), "198.51.100.2")
	sameNames(t, read(t, pcapng(t, "dumpcap", host{"eth0", packets}), inspect.Options{}), "198.51.100.2")
	// On loopback Linux shows everything as received.
	for i := range packets {
		packets[i].outbound = false
	}
	sameNames(t, read(t, pcap(t, layers.LinkTypeLinuxSLL, cooked, packets), inspect.Options{}), "192.0.2.1", "198.51.100.2")
}

// The relay's own interface sees each leg's packets with the relay, and what it
// relays as if it were an endpoint's.
func TestWhatARelayRelaysIsNoLeg(t *testing.T) {
	c := recorded(t)
	peer := addr("198.51.100.2:6000")
	relayed := addr("20.202.0.1:50000")
	// Foreign: the relay's address serves.
	r := read(t, pcap(t, layers.LinkTypeRaw, nil, append(slices.Clone(c.packets), timed(checks(t, relayed, peer, "alice", "bobby")...)...)), inspect.Options{})
	sameNames(t, r, aliceName, "198.51.100.2")
	// Ours: one host of several has it.
	var atRelay []seen
	for _, p := range c.packets {
		p.outbound = !p.outbound
		atRelay = append(atRelay, p)
	}
	r = read(t, pcapng(t, "callpath", host{"alice-pc/eth0", c.packets}, host{"relay/eth0", atRelay}), inspect.Options{})
	sameNames(t, r, "alice-pc")
	contains(t, "notes", strings.Join(r.Notes, "\n"), "STUN or TURN servers: relay")
}

// Two interfaces of one host are one leg, and hosts that say nothing that is read
// are named.
func TestHostsOfOurCaptures(t *testing.T) {
	a, b := addr("192.0.2.1:5000"), addr("198.51.100.2:6000")
	sent := timed(checks(t, a, b, "alice", "bobby")...)
	sent[0].outbound, sent[3].outbound = true, true
	hello := iptest.TCP(addr("192.0.2.9:40000"), addr("20.202.0.1:443"), 1, ip.SYN, []byte{22, 3, 1, 0, 99, 1, 0, 0})
	over := []seen{{time.Second, true, hello}}
	r := read(t, pcapng(t, "callpath", host{"alice-pc/eth0", sent}, host{"alice-pc/vpn0", over}, host{"carol/eth0", over},
		host{"dns/eth0", timed(iptest.UDP(a, addr("192.0.2.53:53"), []byte("?")))}), inspect.Options{})
	sameNames(t, r, "alice-pc")
	contains(t, "notes", strings.Join(r.Notes, "\n"), "in TLS, or in nothing that is read: carol")
	contains(t, "findings", strings.Join(r.Legs[0].Findings, "\n"), "TLS to 20.202.0.1:443 was seen")
}

// rtp are packets of a stream every 20 ms, with some randomness in their times.
func rtp(from, to netip.AddrPort, ssrc uint32, payloadType byte, clock int, n int) []seen {
	random := rand.New(rand.NewPCG(1, uint64(ssrc)))
	var all []seen
	for i := range n {
		b := make([]byte, 60)
		b[0], b[1] = 0x80, payloadType
		binary.BigEndian.PutUint16(b[2:], uint16(i))
		binary.BigEndian.PutUint32(b[4:], uint32(i*clock/50))
		binary.BigEndian.PutUint32(b[8:], ssrc)
		at := time.Duration(i)*20*time.Millisecond + time.Duration(random.IntN(2000))*time.Microsecond
		all = append(all, seen{at: at, packet: iptest.UDP(from, to, b)})
	}
	return all
}

func TestJitterByAMeasuredClock(t *testing.T) {
	a, b := addr("192.0.2.1:5000"), addr("198.51.100.2:6000")
	for name, tt := range map[string]struct {
		clock, packets int
		known          bool
	}{
		"G.711":             {8000, 100, true},
		"Opus":              {48000, 100, true},
		"video":             {90000, 100, true},
		"no clock of media": {20000, 100, false},
		"too short":         {8000, 20, false},
	} {
		t.Run(name, func(t *testing.T) {
			packets := append(timed(checks(t, a, b, "alice", "bobby")...), rtp(b, a, 7, 96, tt.clock, tt.packets)...)
			l := read(t, pcap(t, layers.LinkTypeRaw, nil, packets), inspect.Options{Local: []netip.Addr{a.Addr()}}).Legs[0]
			if len(l.SRTP) != 1 || l.SRTP[0].Packets != uint64(tt.packets) || l.SRTP[0].Direction != "received" {
				t.Fatalf("streams %+v", l.SRTP)
			}
			if jitter := l.SRTP[0].Jitter; (jitter > 0) != tt.known || jitter > 2*time.Millisecond {
				t.Errorf("jitter %v", jitter)
			}
		})
	}
	// Two streams of one payload type that disagree leave it unknown.
	packets := slices.Concat(timed(checks(t, a, b, "alice", "bobby")...), rtp(b, a, 7, 96, 8000, 100), rtp(b, a, 8, 96, 90000, 100))
	for _, s := range read(t, pcap(t, layers.LinkTypeRaw, nil, packets), inspect.Options{}).Legs[0].SRTP {
		if s.Jitter != 0 {
			t.Errorf("jitter %v of a payload type with two clocks", s.Jitter)
		}
	}
}

func TestLossIsAFinding(t *testing.T) {
	a, b := addr("192.0.2.1:5000"), addr("198.51.100.2:6000")
	stream := slices.Delete(rtp(b, a, 7, 96, 8000, 100), 40, 50)
	packets := append(timed(checks(t, a, b, "alice", "bobby")...), stream...)
	l := read(t, pcap(t, layers.LinkTypeRaw, nil, packets), inspect.Options{Local: []netip.Addr{a.Addr()}}).Legs[0]
	contains(t, "findings", strings.Join(l.Findings, "\n"), "SSRC 0x00000007 lost 10.0 %: 10 of 100 packets",
		"SRTP is received but none is sent", "media without a DTLS handshake")
	if !l.Troubled() {
		t.Error("the leg is not troubled")
	}
}

// What can't be read is told.
func TestWhatCannotBeRead(t *testing.T) {
	a, b := addr("192.0.2.1:5000"), addr("198.51.100.2:6000")
	file := pcap(t, layers.LinkTypeIEEE802_11, nil, timed([]byte{1, 2, 3}, []byte{4}))
	contains(t, "notes", strings.Join(read(t, file, inspect.Options{}).Notes, "\n"), "2 packets of link type 105", "valid: loopback (NULL), Ethernet")
	whole := iptest.UDP(a, b, make([]byte, 100))
	file = pcap(t, layers.LinkTypeRaw, nil, timed(whole[:50]))
	contains(t, "notes", strings.Join(read(t, file, inspect.Options{}).Notes, "\n"), "1 packets were cut by the capture's snap length")
}

// A capture of very many endpoints is read with bounded memory: the first are
// recorded.
func TestVeryManyEndpoints(t *testing.T) {
	var packets []seen
	for i := range 9000 {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1}), uint16(2000+i))
		request, _ := check(t, from, addr("198.51.100.2:6000"), fmt.Sprintf("agent%d", i), "bobby")
		packets = append(packets, seen{packet: request})
	}
	r := read(t, pcap(t, layers.LinkTypeRaw, nil, packets), inspect.Options{})
	if len(r.Legs) != 64 {
		t.Errorf("%d legs, want 64", len(r.Legs))
	}
	contains(t, "notes", strings.Join(r.Notes, "\n"), "more than 64 endpoints")
}

// The key log that a pcapng file holds inside, as editcap --inject-secrets leaves
// it, verifies as one beside it does.
func TestKeyLogInsideTheCapture(t *testing.T) {
	c := recorded(t)
	file := pcapng(t, "dumpcap", host{"eth0", c.packets})
	body := binary.LittleEndian.AppendUint32(nil, 0x544c534b)
	body = binary.LittleEndian.AppendUint32(body, uint32(len(c.keyLog)))
	body = append(body, c.keyLog...)
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	length := uint32(len(body) + 12)
	secrets := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, 10), length)
	secrets = binary.LittleEndian.AppendUint32(append(secrets, body...), length)
	first := binary.LittleEndian.Uint32(file[4:]) // the section header comes first
	l := only(t, read(t, slices.Insert(file, int(first), secrets...), inspect.Options{}))
	contains(t, "verdict", l.Verdict, "every packet verified")
}

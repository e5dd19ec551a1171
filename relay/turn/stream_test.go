package turn

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
)

// pipe is a connection of which a test gives the bytes to read.
type pipe struct {
	net.Conn
	r io.Reader
	w bytes.Buffer
}

func (p *pipe) Read(b []byte) (int, error)  { return p.r.Read(b) }
func (p *pipe) Write(b []byte) (int, error) { return p.w.Write(b) }
func (p *pipe) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort("203.0.113.1:1"))
}

// trickle gives one byte at a time.
type trickle struct{ r io.Reader }

func (t trickle) Read(b []byte) (int, error) { return t.r.Read(b[:min(1, len(b))]) }

// RFC 8656, sections 3.1 and 12.5.
func TestStreamsAreCutIntoMessages(t *testing.T) {
	binding := append([]byte{0, 1, 0, 4, 0x21, 0x12, 0xa4, 0x42}, make([]byte, 16)...)
	data := func(n int) (sent, wanted []byte) {
		wanted = append([]byte{0x40, 0x01, byte(n >> 8), byte(n)}, bytes.Repeat([]byte{7}, n)...)
		return append(bytes.Clone(wanted), make([]byte, -n&3)...), wanted
	}
	empty, emptyWanted := data(0)
	one, oneWanted := data(1)
	eight, eightWanted := data(8)
	huge, _ := data(65535)
	fits, fitsWanted := data(1596)
	tooLong, _ := data(1597)
	for _, c := range []struct {
		name   string
		stream []byte
		wanted [][]byte
		end    string
	}{
		{"nothing", nil, nil, "EOF"},
		{"stun and data", bytes.Join([][]byte{binding, one, eight, empty, binding}, nil),
			[][]byte{binding, oneWanted, eightWanted, emptyWanted, binding}, "EOF"},
		{"the longest", bytes.Join([][]byte{fits, binding}, nil), [][]byte{fitsWanted, binding}, "EOF"},
		{"too long ones are passed over", bytes.Join([][]byte{tooLong, one, huge, binding}, nil), [][]byte{oneWanted, binding}, "EOF"},
		{"too long and cut off", huge[:100], nil, "EOF"},
		{"cut off in the header", one[:3], nil, "EOF"},
		{"cut off in the data", eight[:9], nil, "EOF"},
		{"cut off in the padding", one[:6], nil, "EOF"},
		{"http", []byte("GET / HTTP/1.1\r\n\r\n"), nil, "EOF"}, // "GE" is a channel number, "T " a length
		{"rtp", append(binding, 0x80, 0, 0, 0), [][]byte{binding}, "0x80"},
	} {
		for _, slow := range []bool{false, true} {
			var r io.Reader = bytes.NewReader(c.stream)
			if slow {
				r = trickle{r}
			}
			s := newStream(&pipe{r: r})
			buf := make([]byte, 1600)
			var got [][]byte
			var err error
			for {
				var n int
				var from net.Addr
				if n, from, err = s.ReadFrom(buf); err != nil {
					break
				}
				if from.String() != "203.0.113.1:1" {
					t.Errorf("%s: message from %v", c.name, from)
				}
				got = append(got, bytes.Clone(buf[:n]))
			}
			if len(got) != len(c.wanted) {
				t.Errorf("%s: wanted %d messages, got %d", c.name, len(c.wanted), len(got))
				continue
			}
			for i := range got {
				if !bytes.Equal(got[i], c.wanted[i]) {
					t.Errorf("%s: message %d: wanted %x, got %x", c.name, i, c.wanted[i], got[i])
				}
			}
			if !strings.Contains(err.Error(), c.end) {
				t.Errorf("%s: wanted end %s, got %v", c.name, c.end, err)
			}
		}
	}
}

func FuzzStream(f *testing.F) {
	f.Add([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, 64)
	f.Add([]byte{0x40, 0, 0, 1, 9, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff}, 8)
	f.Fuzz(func(t *testing.T, bytes []byte, size int) {
		if size < 0 || size > 1<<16 {
			return
		}
		s := newStream(&pipe{r: strings.NewReader(string(bytes))})
		total := 0
		for buf := make([]byte, size); ; {
			n, _, err := s.ReadFrom(buf)
			if err != nil {
				break
			}
			if n < 4 || n > size {
				t.Fatalf("message of %d bytes in a buffer of %d", n, size)
			}
			total += n
		}
		if total > len(bytes) {
			t.Fatalf("%d bytes read of %d", total, len(bytes))
		}
	})
}

func TestEventsReadAsOneLine(t *testing.T) {
	e := Event{Kind: ChannelDenied, Transport: TLS, User: "8:acs:alice\n", Call: "c 1", Channel: 0x4001, Code: 403, Rule: "private (6to4)",
		Peer: netip.MustParseAddrPort("[2002:a00:1::1]:9"), Relay: netip.MustParseAddrPort("203.0.113.1:0"), Reason: "peer policy"}
	const wanted = `channel-denied transport=tls user="8:acs:alice\n" call="c 1" relay=203.0.113.1 ` +
		`peer=[2002:a00:1::1]:9 channel=0x4001 code=403 rule="private (6to4)" reason="peer policy"`
	if got := e.String(); got != wanted {
		t.Errorf("wanted %s\n   got %s", wanted, got)
	}
}

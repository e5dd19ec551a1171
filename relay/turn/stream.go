package turn

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net"
)

// stream cuts a TCP or TLS connection into messages by RFC 8656, section 3.1: STUN
// messages say their length, and ChannelData is padded to four bytes (12.5).
type stream struct {
	net.Conn
	r *bufio.Reader
}

func newStream(conn net.Conn) *stream { return &stream{conn, bufio.NewReader(conn)} }

const (
	headerSTUN        = 20
	headerChannelData = 4
)

// ReadFrom reads one message, without padding. Messages longer than p are passed
// over. After bytes that begin neither STUN nor ChannelData there is no way to
// find the next message, so they end the connection.
func (s *stream) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		header, err := s.r.Peek(headerChannelData)
		if err != nil {
			return 0, nil, err
		}
		size := int(binary.BigEndian.Uint16(header[2:]))
		padding := 0
		switch header[0] >> 6 {
		case 0:
			size += headerSTUN
		case 1:
			padding = -size & 3
			size += headerChannelData
		default:
			return 0, nil, fmt.Errorf("message begins with 0x%02x, which neither STUN nor ChannelData does", header[0])
		}
		if size > len(p) {
			if _, err := s.r.Discard(size + padding); err != nil {
				return 0, nil, err
			}
			continue
		}
		for n := 0; n < size; {
			m, err := s.r.Read(p[n:size])
			if err != nil {
				return 0, nil, err
			}
			n += m
		}
		if _, err := s.r.Discard(padding); err != nil {
			return 0, nil, err
		}
		return size, s.RemoteAddr(), nil
	}
}

// WriteTo writes one message, which the engine has padded.
func (s *stream) WriteTo(p []byte, _ net.Addr) (int, error) { return s.Write(p) }

// datagrams is a connection that keeps message boundaries itself (DTLS).
type datagrams struct{ net.Conn }

func (d datagrams) ReadFrom(p []byte) (int, net.Addr, error) {
	n, err := d.Read(p)
	return n, d.RemoteAddr(), err
}

func (d datagrams) WriteTo(p []byte, _ net.Addr) (int, error) { return d.Write(p) }

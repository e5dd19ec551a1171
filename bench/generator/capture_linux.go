package generator

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// The parts of a frame: Ethernet, IPv4 without options, UDP.
const (
	ethernetHeader = 14
	ipHeader       = 20
	udpAt          = ethernetHeader + ipHeader
	payloadAt      = udpAt + 8
	channelHeader  = 4
	headers        = payloadAt + channelHeader
)

// Frame is the first frame of a flow that was seen, with a payload of zeros, behind its
// header if it is ChannelData (RFC 8656, section 12.4).
type Frame []byte

// Capture is a socket that sees what leaves by an interface.
type Capture struct{ fd int }

// NewCapture begins to look, in the network namespace of the calling thread.
func NewCapture(name string) (*Capture, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}
	all := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_ALL))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(all))
	if err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: i.Index}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("capture on %s: %w", name, err)
	}
	return &Capture{fd}, nil
}

// Close ends it.
func (c *Capture) Close() { unix.Close(c.fd) }

// Frames returns a frame of each flow from or to an address, when it has seen n, or an
// error when it has not until the deadline. Messages of STUN do not count.
func (c *Capture) Frames(address netip.Addr, n int, deadline time.Time) ([]Frame, error) {
	type flow struct{ from, to netip.AddrPort }
	seen := make(map[flow]bool)
	var frames []Frame
	buf := make([]byte, 1<<16)
	for len(frames) < n {
		left := time.Until(deadline)
		if left <= 0 {
			return nil, fmt.Errorf("capture: saw %d of %d flows", len(frames), n)
		}
		poll := []unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(poll, int(left/time.Millisecond)+1); err != nil && !errors.Is(err, unix.EINTR) {
			return nil, fmt.Errorf("capture: %w", err)
		}
		size, from, err := unix.Recvfrom(c.fd, buf, unix.MSG_DONTWAIT)
		if err != nil {
			if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
				continue
			}
			return nil, fmt.Errorf("capture: %w", err)
		}
		if at, ok := from.(*unix.SockaddrLinklayer); !ok || at.Pkttype != unix.PACKET_OUTGOING {
			continue
		}
		f, source, destination, ok := blank(buf[:size])
		if !ok || (source.Addr() != address && destination.Addr() != address) || seen[flow{source, destination}] {
			continue
		}
		seen[flow{source, destination}] = true
		frames = append(frames, f)
	}
	return frames, nil
}

// blank copies a frame of UDP over IPv4, with zeros for its payload and the checksum
// that it has then.
func blank(p []byte) (f Frame, source, destination netip.AddrPort, ok bool) {
	if len(p) < headers || binary.BigEndian.Uint16(p[12:]) != unix.ETH_P_IP || p[ethernetHeader] != 0x45 || p[ethernetHeader+9] != unix.IPPROTO_UDP {
		return nil, source, destination, false
	}
	f = append(Frame(nil), p...)
	ip, udp := f[ethernetHeader:udpAt], f[udpAt:]
	address := func(b []byte) netip.Addr { return netip.AddrFrom4([4]byte(b)) }
	source = netip.AddrPortFrom(address(ip[12:]), binary.BigEndian.Uint16(udp))
	destination = netip.AddrPortFrom(address(ip[16:]), binary.BigEndian.Uint16(udp[2:]))
	if int(binary.BigEndian.Uint16(udp[4:])) != len(udp) {
		return nil, source, destination, false
	}
	first := f[payloadAt]
	// A message of STUN has its magic number after its length.
	if first&0xc0 == 0 && len(f) >= payloadAt+8 && binary.BigEndian.Uint32(f[headers:]) == 0x2112a442 {
		return nil, source, destination, false
	}
	if first&0xc0 == 0x40 && int(binary.BigEndian.Uint16(f[payloadAt+2:])) == len(f)-headers {
		clear(f[headers:])
	} else {
		clear(f[payloadAt:])
	}
	udp[6], udp[7] = 0, 0
	pseudo := append([]byte{0, unix.IPPROTO_UDP, udp[4], udp[5]}, ip[12:20]...)
	sum := ^fold(words(pseudo) + words(udp))
	if sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(udp[6:], sum)
	return f, source, destination, true
}

func words(p []byte) (sum uint32) {
	for ; len(p) > 1; p = p[2:] {
		sum += uint32(p[0])<<8 | uint32(p[1])
	}
	if len(p) == 1 {
		sum += uint32(p[0]) << 8
	}
	return sum
}

func fold(sum uint32) uint16 {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

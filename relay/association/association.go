// Package association divides a UDP socket into DTLS associations, one for each client
// address, for dtls.NewListener.
//
// It differs from the DTLS library's own listener in what RFC 6347, section 4.2.8
// asks for: a client that has lost its association, or another one that has got its
// address (a NAT gives ports out again, and so does a kernel), begins anew with a
// ClientHello. The new handshake then goes on beside the old association, and takes its
// place when it has succeeded. Before that the old one stays, because anybody can send
// a ClientHello in somebody else's name; that the server has sent its Finished
// proves that the client has got the cookie.
//
// It reads no more of DTLS than the headers of records (RFC 6347, section 4.1).
//
// Start reading at Listener.
package association

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/transport/v5/packetio"
)

const (
	// backlog bounds the associations that nobody has accepted yet.
	backlog = 128
	// most bounds the datagrams that an association has not read yet.
	most = 512
	// mtu is more than a datagram of DTLS has on any path.
	mtu = 8192
)

// Listener is a dtlsnet.PacketListener. It is safe for concurrent use.
type Listener struct {
	pc    *net.UDPConn
	ready chan *Association
	done  chan struct{} // closed by Close
	ended chan struct{} // closed when the reader has ended

	mu     sync.Mutex
	closed bool
	// current are the associations by client, next those that would replace one.
	current, next map[netip.AddrPort]*Association
	// open counts associations that are not closed. The socket lives as long as
	// one of them does, so that it can say goodbye.
	open int
}

// Listen divides pc, which it closes in the end.
func Listen(pc *net.UDPConn) *Listener {
	l := &Listener{
		pc:      pc,
		ready:   make(chan *Association, backlog),
		done:    make(chan struct{}),
		ended:   make(chan struct{}),
		current: make(map[netip.AddrPort]*Association),
		next:    make(map[netip.AddrPort]*Association),
	}
	go l.read()
	return l
}

// Accept waits for a new association.
func (l *Listener) Accept() (net.PacketConn, net.Addr, error) {
	select {
	case a := <-l.ready:
		return a, a.remote, nil
	case <-l.done:
		return nil, nil, net.ErrClosed
	case <-l.ended:
		return nil, nil, net.ErrClosed
	}
}

// Addr is the socket's address.
func (l *Listener) Addr() net.Addr { return l.pc.LocalAddr() }

// Close takes no new associations. Those that were accepted go on; the socket closes
// with the last of them.
func (l *Listener) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	close(l.done)
	l.mu.Unlock()
	for {
		select {
		case a := <-l.ready:
			_ = a.Close()
			continue
		default:
		}
		break
	}
	return l.finish()
}

// finish closes the socket when nothing needs it any more, and waits for the reader.
func (l *Listener) finish() error {
	l.mu.Lock()
	last := l.closed && l.open == 0
	l.mu.Unlock()
	if !last {
		return nil
	}
	err := l.pc.Close()
	<-l.ended
	return err
}

// maxReadErrors bounds the errors in a row after which the socket is given up. Single
// ones are ICMP errors, which some client's host has sent.
const maxReadErrors = 64

func (l *Listener) read() {
	defer close(l.ended)
	buf := make([]byte, mtu)
	for failures := 0; failures < maxReadErrors; {
		n, from, err := l.pc.ReadFromUDPAddrPort(buf)
		if err != nil {
			failures++
			continue
		}
		failures = 0
		l.deliver(netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), buf[:n])
	}
}

// deliver gives a datagram to the associations that it may be for.
func (l *Listener) deliver(from netip.AddrPort, datagram []byte) {
	first, ok := parse(datagram)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	current, next := l.current[from], l.next[from]
	hello := first.clientHello(datagram)
	switch {
	case current == nil && hello:
		l.begin(l.current, from, datagram)
	case current == nil:
	case next == nil && hello && current.established:
		l.begin(l.next, from, datagram)
	case next != nil && first.epoch == 0:
		next.put(datagram)
	case next != nil:
		// The end of the new handshake, or what the old association says: either
		// drops what it cannot decrypt.
		next.put(datagram)
		current.put(datagram)
	default:
		current.put(datagram)
	}
}

// begin makes an association, unless too many wait; l.mu is held.
func (l *Listener) begin(in map[netip.AddrPort]*Association, from netip.AddrPort, datagram []byte) {
	if l.closed {
		return
	}
	a := &Association{listener: l, client: from, remote: net.UDPAddrFromAddrPort(from), buffer: packetio.NewBuffer()}
	a.buffer.SetLimitCount(most)
	select {
	case l.ready <- a:
		in[from] = a
		l.open++
		a.put(datagram)
	default: // the client sends it again
	}
}

// succeed is the end of a handshake: a takes its place. It returns the association
// that had it.
func (l *Listener) succeed(a *Association) (old *Association) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a.established = true
	if l.next[a.client] == a {
		delete(l.next, a.client)
		old = l.current[a.client]
		l.current[a.client] = a
	}
	return old
}

// forget takes an association off.
func (l *Listener) forget(a *Association) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.next[a.client] == a {
		delete(l.next, a.client)
	}
	if l.current[a.client] == a {
		delete(l.current, a.client)
		if next := l.next[a.client]; next != nil {
			l.current[a.client] = next
			delete(l.next, a.client)
		}
	}
}

// Association is the datagrams of one client, as a net.PacketConn.
type Association struct {
	listener *Listener
	client   netip.AddrPort
	remote   net.Addr
	buffer   *packetio.Buffer
	once     sync.Once

	// established is true from the server's Finished on; listener.mu guards it,
	// and finished belongs to whoever writes, which DTLS does under a lock.
	established bool
	finished    sync.Once
}

func (a *Association) put(datagram []byte) {
	// A full buffer loses the datagram, as a socket's does.
	_, _ = a.buffer.Write(datagram, nil)
}

// ReadFrom reads one datagram.
func (a *Association) ReadFrom(p []byte) (int, net.Addr, error) {
	n, _, err := a.buffer.Read(p, nil)
	return n, a.remote, err
}

// WriteTo sends a datagram to the client, whatever the address.
func (a *Association) WriteTo(p []byte, _ net.Addr) (int, error) {
	if encrypted(p) {
		a.finished.Do(func() {
			if old := a.listener.succeed(a); old != nil {
				_ = old.buffer.Close() // its reader closes it
			}
		})
	}
	return a.listener.pc.WriteToUDPAddrPort(p, a.client)
}

// Close ends the association.
func (a *Association) Close() error {
	var err error
	a.once.Do(func() {
		err = a.buffer.Close()
		a.listener.forget(a)
		if finishErr := a.listener.finish(); err == nil {
			err = finishErr
		}
	})
	return err
}

// LocalAddr is the socket's address.
func (a *Association) LocalAddr() net.Addr { return a.listener.Addr() }

// SetDeadline sets the deadline for reading; writing does not wait.
func (a *Association) SetDeadline(t time.Time) error { return a.SetReadDeadline(t) }

// SetReadDeadline sets the deadline for reading.
func (a *Association) SetReadDeadline(t time.Time) error { return a.buffer.SetReadDeadline(t) }

// SetWriteDeadline does nothing, as writing does not wait.
func (a *Association) SetWriteDeadline(time.Time) error { return nil }

// record is the header of a DTLS record (RFC 6347, section 4.1).
type record struct {
	kind  byte
	epoch uint16
	size  int // with the header
}

// The content types and the handshake message that matter here.
const (
	alert       = 21
	handshake   = 22
	clientHello = 1
	headerSize  = 13
)

// parse reads the first record of a datagram.
func parse(p []byte) (record, bool) {
	if len(p) < headerSize || p[1] != 0xfe {
		return record{}, false
	}
	r := record{kind: p[0], epoch: binary.BigEndian.Uint16(p[3:]), size: headerSize + int(binary.BigEndian.Uint16(p[11:]))}
	return r, r.size <= len(p)
}

// clientHello is true for a record that begins a handshake.
func (r record) clientHello(datagram []byte) bool {
	return r.kind == handshake && r.epoch == 0 && r.size > headerSize && datagram[headerSize] == clientHello
}

// encrypted is true for a datagram in which the server speaks under its new keys: only
// a client that has finished its handshake hears that.
func encrypted(p []byte) bool {
	for len(p) > 0 {
		r, ok := parse(p)
		if !ok {
			return false
		}
		if r.epoch > 0 && r.kind != alert {
			return true
		}
		p = p[r.size:]
	}
	return false
}

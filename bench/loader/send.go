package loader

import (
	"encoding/binary"

	"github.com/callpath/callpath/bench/load"
	"github.com/callpath/callpath/bench/udp"
)

// framing is the size of ChannelData's header (RFC 8656, section 12.4).
const framing = 4

// source is one sender of packets: a client or a peer.
type source struct {
	load.Source
	// packets is a run of them, ready but for the stamps, each stride long with its
	// payload offset into it. Sources that send alike share it.
	packets        []byte
	stride, offset int
	// socket is the client's own; peer and to are set when a peer sends.
	socket *udp.Socket
	peer   *peer
	to     udp.Address

	sent uint32 // in this phase
	next uint32 // sequence expected by the receiver, in this phase
}

// aim makes the sources of the load.
func (l *Loader) aim() {
	type kind struct {
		payload, run int
		framed       bool
	}
	made := make(map[kind][]byte)
	for _, s := range l.cfg.Load.Sources() {
		f, p := l.flows[s.Flow], l.peers[s.Flow%len(l.peers)]
		k := kind{s.Payload, s.Run, l.framed(s.Up)}
		if made[k] == nil {
			made[k] = packets(k.payload, k.run, k.framed)
		}
		one := source{Source: s, packets: made[k], stride: len(made[k]) / s.Run}
		one.offset = one.stride - s.Payload
		if s.Up {
			one.socket = f.socket
		} else {
			one.peer, one.to = p, udp.AddressOf(f.relay)
		}
		l.sources = append(l.sources, one)
	}
}

// framed says whether packets leave as ChannelData: those of clients, and of peers
// when they send to the client itself, so that it receives what a relay would send.
func (l *Loader) framed(up bool) bool { return up || l.cfg.Scheme == Direct }

// packets makes a run of packets without stamps.
func packets(payload, run int, framed bool) []byte {
	var all []byte
	for range run {
		if framed {
			all = binary.BigEndian.AppendUint16(all, channel)
			all = binary.BigEndian.AppendUint16(all, uint16(payload))
		}
		for i := range payload {
			all = append(all, byte(i*7))
		}
	}
	return all
}

// send sends a run that is due, and returns how many packets the system has not
// taken. What peers send leaves with the next flush at the latest.
func (l *Loader) send(number int, due int64) (failed int) {
	s := &l.sources[number]
	out := s.packets
	if !s.Up {
		failed = s.peer.room(s)
		out = s.peer.take(out)
	}
	stamp := load.Stamp{Session: l.session, Phase: l.phase, Source: uint32(number), Due: due}
	for at := s.offset; at < len(out); at += s.stride {
		stamp.Sequence = s.sent
		s.sent++
		stamp.Put(out[at:])
	}
	if !s.Up {
		s.add(s.peer.outbox, &s.to, out)
		return failed
	}
	if s.Run > 1 {
		s.add(l.burst, nil, out)
		return l.burst.Flush(s.socket)
	}
	err := s.socket.Send(out)
	if udp.Refused(err) { // told of an earlier packet; this one has not been sent
		err = s.socket.Send(out)
	}
	if err != nil {
		return 1
	}
	return 0
}

// add puts a run into an outbox, as one message or as many.
func (s *source) add(o *udp.Outbox, to *udp.Address, out []byte) {
	if s.Segmented {
		o.Begin(to, s.stride)
		o.Append(out)
		return
	}
	for at := 0; at < len(out); at += s.stride {
		o.Begin(to, 0)
		o.Append(out[at : at+s.stride])
	}
}

// room flushes the peer's outbox unless there is room for a run.
func (p *peer) room(s *source) (failed int) {
	if len(p.store)-p.used < len(s.packets) || !p.outbox.Room(s.Run, s.Run) {
		return p.flush()
	}
	return 0
}

// take copies a run into the store, where it stays until flush.
func (p *peer) take(packets []byte) []byte {
	out := p.store[p.used : p.used+len(packets)]
	p.used += copy(out, packets)
	return out
}

// flush sends what the peer has to send.
func (p *peer) flush() (failed int) {
	p.used = 0
	if p.outbox.Empty() {
		return 0
	}
	return p.outbox.Flush(p.socket)
}

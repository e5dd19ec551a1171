package modern

import (
	"net/netip"
	"strings"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/scenarios/media"
	"github.com/callpath/callpath/scenarios/participant/endpoint"
	"github.com/callpath/callpath/signaling"
)

func (e *Endpoint) candidate(c *webrtc.ICECandidate) {
	if c == nil {
		e.cfg.Events.Candidate(signaling.Candidate{})
		return
	}
	line := c.ToJSON()
	e.cfg.Events.Candidate(signaling.Candidate{
		Candidate:        e.older.Relabel(line.Candidate),
		SDPMid:           line.SDPMid,
		SDPMLineIndex:    line.SDPMLineIndex,
		UsernameFragment: line.UsernameFragment,
	})
}

// state translates webrtc's. A failure of DTLS is left to complaint, which knows
// the reason.
func (e *Endpoint) state(s webrtc.PeerConnectionState) {
	switch s {
	case webrtc.PeerConnectionStateConnecting:
		e.cfg.Events.State(endpoint.Connecting, "")
	case webrtc.PeerConnectionStateConnected:
		e.cfg.Events.State(endpoint.Connected, "")
	case webrtc.PeerConnectionStateDisconnected:
		e.cfg.Events.State(endpoint.Disconnected, "")
	case webrtc.PeerConnectionStateFailed:
		if e.pc.SCTP().Transport().State() != webrtc.DTLSTransportStateFailed {
			reason := "ICE: no answer on the selected pair any more"
			if e.pc.SCTP().Transport().State() == webrtc.DTLSTransportStateNew {
				reason = "ICE: no candidate pair got an answer"
			}
			e.cfg.Events.State(endpoint.Failed, reason)
		}
	}
}

// complaint takes the reason of a DTLS failure from the only place where webrtc
// tells it: its log, right after the transport's state has changed.
func (e *Endpoint) complaint(scope, text string) {
	reason, ok := strings.CutPrefix(text, "Failed to start manager: ")
	if scope != "pc" || !ok || e.pc.SCTP().Transport().State() != webrtc.DTLSTransportStateFailed {
		return
	}
	e.cfg.Recorder.Failure("dtls", reason)
	e.cfg.Events.State(endpoint.Failed, "DTLS: "+reason)
}

func (e *Endpoint) selected(pair *webrtc.ICECandidatePair) {
	local, remote := e.older.Candidate(candidate(pair.Local)), candidate(pair.Remote)
	if pair.Local.Typ == webrtc.ICECandidateTypeRelay {
		local.RelayProtocol = e.relayProtocol(pair.Local)
	}
	e.cfg.Events.Selected(local, remote)
}

// relayProtocol is how a relay candidate's allocation was made; webrtc tells it in
// its statistics only.
func (e *Endpoint) relayProtocol(c *webrtc.ICECandidate) string {
	for _, s := range e.pc.GetStats() {
		found, ok := s.(webrtc.ICECandidateStats)
		if ok && found.IP == c.Address && found.Port == int32(c.Port) && found.RelayProtocol != "" {
			return found.RelayProtocol
		}
	}
	return ""
}

func candidate(c *webrtc.ICECandidate) negotiation.Candidate {
	return negotiation.Candidate{
		Type:       c.Typ.String(),
		Address:    addrPort(c.Address, c.Port),
		Related:    addrPort(c.RelatedAddress, c.RelatedPort),
		Protocol:   c.Protocol.String(),
		Priority:   c.Priority,
		Foundation: c.Foundation,
	}
}

// addrPort is the zero AddrPort when there is no address.
func addrPort(address string, port uint16) netip.AddrPort {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr, port)
}

// track reads a received stream to its end. webrtc runs it in a goroutine of its
// own for each stream.
func (e *Endpoint) track(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	format, ok := media.ByEncoding(track.Codec().MimeType)
	if !ok || !e.begin() {
		return
	}
	defer e.readers.Done()
	e.read(receiver.ReadRTCP)
	for {
		packet, _, err := track.ReadRTP()
		if err != nil {
			return
		}
		e.cfg.Events.Packet(format, packet, time.Now())
	}
}

// begin counts a reader, unless the endpoint is closing.
func (e *Endpoint) begin() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closing {
		e.readers.Add(1)
	}
	return !e.closing
}

// read passes RTCP on until the connection is closed.
func (e *Endpoint) read(next func() ([]rtcp.Packet, interceptor.Attributes, error)) {
	if !e.begin() {
		return
	}
	go func() {
		defer e.readers.Done()
		for {
			packets, _, err := next()
			if err != nil {
				return
			}
			for _, p := range packets {
				e.cfg.Events.Control(p, time.Now())
			}
		}
	}()
}

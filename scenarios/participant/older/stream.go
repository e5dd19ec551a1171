package older

import (
	"errors"
	"fmt"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/callpath/callpath/scenarios/media"
	"github.com/callpath/callpath/scenarios/participant/endpoint"
)

// errNotSecured is why a packet cannot be sent.
var errNotSecured = errors.New("the connection is not secured yet")

// intercept builds what answers and asks by RTCP: reports, and NACK for video.
func (e *Endpoint) intercept() error {
	registry := &interceptor.Registry{}
	receiver, err := report.NewReceiverInterceptor(report.ReceiverInterval(endpoint.ReportInterval))
	if err != nil {
		return fmt.Errorf("receiver reports: %w", err)
	}
	sender, err := report.NewSenderInterceptor(report.SenderInterval(endpoint.ReportInterval))
	if err != nil {
		return fmt.Errorf("sender reports: %w", err)
	}
	asks, err := nack.NewGeneratorInterceptor()
	if err != nil {
		return fmt.Errorf("NACK: %w", err)
	}
	answers, err := nack.NewResponderInterceptor()
	if err != nil {
		return fmt.Errorf("NACK: %w", err)
	}
	for _, f := range []interceptor.Factory{answers, asks, receiver, sender} {
		registry.Add(f)
	}
	if e.chain, err = registry.Build(e.cfg.Spec.Name); err != nil {
		return fmt.Errorf("interceptors: %w", err)
	}
	e.control = e.chain.BindRTCPWriter(interceptor.RTCPWriterFunc(e.sendControl))
	e.inbound = e.chain.BindRTCPReader(interceptor.RTCPReaderFunc(handed))
	return nil
}

// packetKey is the attribute in which a reader of the chain is handed the packet
// that it reads: the chain pulls, and packets are pushed here.
type packetKey struct{}

func handed(buffer []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
	packet, _ := a.Get(packetKey{}).([]byte)
	return copy(buffer, packet), interceptor.Attributes{}, nil
}

// sendControl encrypts and sends RTCP.
func (e *Endpoint) sendControl(packets []rtcp.Packet, _ interceptor.Attributes) (int, error) {
	raw, err := rtcp.Marshal(packets)
	if err != nil {
		return 0, err
	}
	return e.protect(func(s *secured) ([]byte, error) { return s.out.EncryptRTCP(nil, raw, nil) })
}

// protect encrypts a packet and sends it on the selected pair.
func (e *Endpoint) protect(encrypt func(*secured) ([]byte, error)) (int, error) {
	e.mu.Lock()
	up := e.secured
	e.mu.Unlock()
	if up == nil {
		return 0, errNotSecured
	}
	up.sending.Lock()
	defer up.sending.Unlock()
	packet, err := encrypt(up)
	if err != nil {
		return 0, err
	}
	return up.conn.Write(packet)
}

// sender is one stream that is sent.
type sender struct {
	endpoint *Endpoint
	format   media.Format
	ssrc     uint32
	writer   interceptor.RTPWriter // made by the first Send
}

func (s *sender) Format() media.Format { return s.format }

func (s *sender) SSRC() uint32 { return s.ssrc }

func (s *sender) PayloadType() uint8 {
	payloadType, _, _ := s.agreed()
	return payloadType
}

func (s *sender) Negotiated() bool {
	_, wanted, ok := s.agreed()
	return ok && wanted
}

func (s *sender) agreed() (payloadType uint8, wanted, ok bool) {
	for _, l := range s.endpoint.agreed() {
		if payloadType, ok := l.payloadType(s.format.Codec); ok && !l.refused {
			return payloadType, l.wanted, true
		}
	}
	return 0, false, false
}

// Send implements endpoint.Sender; a stream has one goroutine that sends.
func (s *sender) Send(p *rtp.Packet) error {
	if s.writer == nil {
		s.writer = s.endpoint.chain.BindLocalStream(info(s.format, s.ssrc, p.PayloadType), interceptor.RTPWriterFunc(s.write))
	}
	_, err := s.writer.Write(&p.Header, p.Payload, interceptor.Attributes{})
	return err
}

func (s *sender) write(header *rtp.Header, payload []byte, _ interceptor.Attributes) (int, error) {
	raw, err := (&rtp.Packet{Header: *header, Payload: payload}).Marshal()
	if err != nil {
		return 0, err
	}
	return s.endpoint.protect(func(up *secured) ([]byte, error) { return up.out.EncryptRTP(nil, raw, nil) })
}

func info(f media.Format, ssrc uint32, payloadType uint8) *interceptor.StreamInfo {
	i := &interceptor.StreamInfo{
		SSRC: ssrc, PayloadType: payloadType, MimeType: f.MIME(), ClockRate: f.ClockRate, Channels: f.Channels,
	}
	if f.Kind == media.Video {
		i.RTCPFeedback = []interceptor.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}}
	}
	return i
}

// protected takes an SRTP or SRTCP packet, told apart by the payload type (RFC
// 5761, section 4). What does not verify, or came before, is dropped.
func (e *Endpoint) protected(up *secured, packet []byte, arrived time.Time) {
	if len(packet) > 1 && packet[1] >= 192 && packet[1] <= 223 {
		if plain, err := up.in.DecryptRTCP(nil, packet, nil); err == nil {
			e.received(plain, arrived)
		}
		return
	}
	plain, err := up.in.DecryptRTP(nil, packet, nil)
	if err != nil {
		return
	}
	p := &rtp.Packet{}
	if err := p.Unmarshal(plain); err != nil {
		return
	}
	format, ok := e.format(p.PayloadType)
	if !ok {
		return
	}
	reader := up.readers[p.SSRC]
	if reader == nil {
		reader = e.chain.BindRemoteStream(info(format, p.SSRC, p.PayloadType), interceptor.RTPReaderFunc(handed))
		up.readers[p.SSRC] = reader
	}
	_, _, _ = reader.Read(make([]byte, len(plain)), interceptor.Attributes{packetKey{}: plain})
	e.cfg.Events.Packet(format, p, arrived)
}

func (e *Endpoint) received(plain []byte, arrived time.Time) {
	_, _, _ = e.inbound.Read(make([]byte, len(plain)), interceptor.Attributes{packetKey{}: plain})
	packets, err := rtcp.Unmarshal(plain)
	if err != nil {
		return
	}
	for _, p := range packets {
		e.cfg.Events.Control(p, arrived)
	}
}

// format is that of a payload type; numbers are the same in both directions.
func (e *Endpoint) format(payloadType uint8) (media.Format, bool) {
	for _, l := range e.agreed() {
		if f, ok := l.formats[payloadType]; ok {
			return f, true
		}
	}
	return media.Format{}, false
}

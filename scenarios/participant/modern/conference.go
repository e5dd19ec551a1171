package modern

import (
	"fmt"
	"strings"

	"github.com/pion/webrtc/v4"

	"github.com/callpath/callpath/scenarios/media"
)

// receive adds m-lines until there are as many that receive, of each kind, as the
// endpoint is to have: one, or what a conference asks for.
func (e *Endpoint) receive() error {
	want := map[string]int{media.Audio: 1, media.Video: 1}
	if c := e.cfg.Conference; c != nil {
		want[media.Audio], want[media.Video] = c.Audio, c.Video
	}
	have := map[string]int{}
	for _, t := range e.pc.GetTransceivers() {
		if d := t.Direction(); d == webrtc.RTPTransceiverDirectionSendrecv || d == webrtc.RTPTransceiverDirectionRecvonly {
			have[t.Kind().String()]++
		}
	}
	for _, kind := range []string{media.Audio, media.Video} {
		for ; have[kind] < want[kind]; have[kind]++ {
			receiving := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}
			if _, err := e.pc.AddTransceiverFromKind(webrtc.NewRTPCodecType(kind), receiving); err != nil {
				return fmt.Errorf("receive %s: %w", kind, err)
			}
		}
	}
	return nil
}

// addScreen adds the shared screen, an m-line of its own that only sends.
func (e *Endpoint) addScreen() error {
	if e.cfg.Spec.Screen == "" {
		return nil
	}
	f, err := media.FormatOf(media.Codec(e.cfg.Spec.Screen))
	if err != nil {
		return err
	}
	track, err := webrtc.NewTrackLocalStaticRTP(capability(f), media.Slides, e.cfg.Spec.Name)
	if err != nil {
		return fmt.Errorf("screen: %w", err)
	}
	t, err := e.pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	if err != nil {
		return fmt.Errorf("screen: %w", err)
	}
	f.Kind = media.Slides
	e.senders = append(e.senders, &sender{endpoint: e, format: f, track: track, rtp: t.Sender()})
	e.read(t.Sender().ReadRTCP)
	return nil
}

// withContent says of the screen's m-line that it has slides (RFC 4796), which
// webrtc cannot.
func (e *Endpoint) withContent(sdp string) string {
	mid := ""
	for _, s := range e.senders {
		for _, t := range e.pc.GetTransceivers() {
			if s.format.Kind == media.Slides && t.Sender() == s.rtp {
				mid = t.Mid()
			}
		}
	}
	if mid == "" {
		return sdp
	}
	line := "a=mid:" + mid + "\r\n"
	return strings.Replace(sdp, line, line+"a=content:slides\r\n", 1)
}

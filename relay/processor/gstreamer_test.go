package processor_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"testing"

	"github.com/callpath/callpath/relay/processor"
)

// junction joins GStreamer's two sockets, of which one sends and one receives, to one
// address, as a client's own socket would be.
func junction(t *testing.T, server netip.AddrPort) (toServer, fromServer netip.AddrPort) {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	ok(t, err)
	sink, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	ok(t, err)
	fromServer = sink.LocalAddr().(*net.UDPAddr).AddrPort()
	ok(t, sink.Close()) // its port is GStreamer's now
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 1<<16)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			to := server
			if from == server {
				to = fromServer
			}
			_, _ = conn.WriteToUDPAddrPort(b[:n], to)
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return conn.LocalAddr().(*net.UDPAddr).AddrPort(), fromServer
}

// GStreamer's dtls plugin (1.22) knows SRTP_AES128_CM_SHA1_80 only. It gets a participant's
// voice, and is heard.
func TestGStreamerTalksWithAParticipant(t *testing.T) {
	launch := program(t, "gst-launch-1.0")
	s := serve(t, nil)
	certificate := newCertificate(t)
	_, err := s.Join(t.Context(), processor.Join{Conference: "trunk", Participant: "gstreamer", Offer: trunkOffer(certificate), Latching: true})
	ok(t, err)
	p := newPeer(t, "alice", media{audio: pcmuOf(t, "alice"), audioSlots: 1})
	p.join(s, "trunk")

	identity, err := os.ReadFile(pemFile(t, certificate))
	ok(t, err)
	to, from := junction(t, s.at)
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, launch, "-v",
		"udpsrc", fmt.Sprintf("port=%d", from.Port()), "!",
		"dtlssrtpdec", "name=d", "connection-id=c", "pem=\""+string(identity)+"\"",
		"d.rtp_src", "!", "application/x-rtp,media=audio,clock-rate=8000,encoding-name=PCMU,payload=0", "!", "identity", "silent=false", "!", "fakesink", "sync=false", "async=false",
		"audiotestsrc", "is-live=true", "samplesperbuffer=160", "!", "audio/x-raw,rate=8000,channels=1", "!", "mulawenc", "!", "rtppcmupay", "min-ptime=20000000", "max-ptime=20000000", "!",
		"e.rtp_sink_0", "dtlssrtpenc", "name=e", "connection-id=c", "is-client=true", "!",
		"udpsink", "host=127.0.0.1", fmt.Sprintf("port=%d", to.Port()), "sync=false", "async=false",
	)
	out := &logged{}
	cmd.Stdout, cmd.Stderr = out, out
	ok(t, cmd.Start())
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(out.text.String())
		}
	})
	if n := s.event(t, processor.EventNegotiated, "gstreamer").Negotiated; n.SRTPProfile != "AES_CM_128_HMAC_SHA1_80" {
		t.Errorf("negotiated %+v", n)
	}
	until(t, "alice hears GStreamer", func() bool { return len(p.payloads("audio/PCMU", audioContent)) > 0 })
	until(t, "GStreamer hears alice", func() bool { return out.has("last-message = chain", "bytes") })
}

package modern

import (
	"fmt"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/webrtc/v4"

	"github.com/callpath/callpath/scenarios/media"
	"github.com/callpath/callpath/scenarios/participant/endpoint"
	"github.com/callpath/callpath/signaling"
)

// settings are webrtc's for one participant.
func settings(cfg endpoint.Config, dialer *endpoint.Dialer, loggers *endpoint.Loggers) (webrtc.SettingEngine, error) {
	var s webrtc.SettingEngine
	s.LoggerFactory = loggers
	s.SetNet(cfg.Machine.Net())
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.SetICEProxyDialer(dialer)
	s.SetICETimeouts(endpoint.DisconnectedAfter, endpoint.FailedAfter, endpoint.Keepalive)
	s.SetSTUNGatherTimeout(endpoint.STUNTimeout)
	s.SetSrflxAcceptanceMinWait(endpoint.ReflexiveWait)
	s.SetPrflxAcceptanceMinWait(endpoint.ReflexiveWait)
	s.SetRelayAcceptanceMinWait(endpoint.RelayWait)
	s.SetICEMaxBindingRequests(endpoint.BindingRequests)
	s.DisableActiveTCP(true)
	// The call ends by signaling, not by the peer's close_notify.
	s.DisableCloseByDTLS(true)
	// RFC 3711, section 3.3.2: at least 64; more lets retransmissions in.
	s.SetSRTPReplayProtectionWindow(1024)
	s.SetSRTCPReplayProtectionWindow(64)
	s.SetDTLSKeyLogWriter(cfg.KeyLogWriter())

	profiles, err := endpoint.Profiles(cfg.Spec)
	if err != nil {
		return s, err
	}
	var offered []dtls.SRTPProtectionProfile
	for _, p := range profiles {
		offered = append(offered, dtls.SRTPProtectionProfile(p))
	}
	s.SetSRTPProtectionProfiles(offered...)
	suites, err := endpoint.CipherSuites(cfg.Spec.DTLS.CipherSuites)
	if err != nil {
		return s, err
	}
	if suites != nil {
		var ids []dtls.CipherSuiteID
		for _, id := range suites {
			ids = append(ids, dtls.CipherSuiteID(id))
		}
		s.SetDTLSCipherSuites(ids...)
	}
	role, err := answeringRole(cfg.Spec.DTLS.Setup)
	if err != nil {
		return s, err
	}
	return s, s.SetAnsweringDTLSRole(role)
}

// answeringRole is RFC 8842's: the active side is the DTLS client.
func answeringRole(setup string) (webrtc.DTLSRole, error) {
	switch setup {
	case "", "active":
		return webrtc.DTLSRoleClient, nil
	case "passive":
		return webrtc.DTLSRoleServer, nil
	}
	return 0, fmt.Errorf("no DTLS setup %q; valid: active, passive", setup)
}

// codecs registers the formats, the first preferred.
func codecs(formats []media.Format) (*webrtc.MediaEngine, error) {
	engine := &webrtc.MediaEngine{}
	for _, f := range formats {
		kind := webrtc.NewRTPCodecType(f.Kind)
		parameters := webrtc.RTPCodecParameters{RTPCodecCapability: capability(f), PayloadType: webrtc.PayloadType(f.PayloadType)}
		if err := engine.RegisterCodec(parameters, kind); err != nil {
			return nil, fmt.Errorf("codec %s: %w", f.Codec, err)
		}
	}
	return engine, nil
}

func capability(f media.Format) webrtc.RTPCodecCapability {
	c := webrtc.RTPCodecCapability{
		MimeType:    f.MIME(),
		ClockRate:   f.ClockRate,
		Channels:    f.Channels,
		SDPFmtpLine: f.Parameters,
	}
	if f.Kind == media.Video {
		// RFC 4585 and RFC 5104; NACK and transport-cc are added by the
		// interceptors.
		c.RTCPFeedback = []webrtc.RTCPFeedback{{Type: "ccm", Parameter: "fir"}}
	}
	return c
}

// interceptors are those of a usual client: NACK with retransmission in the
// stream itself, reports, and transport-wide congestion feedback.
func interceptors(engine *webrtc.MediaEngine) (*interceptor.Registry, error) {
	registry := &interceptor.Registry{}
	if err := webrtc.ConfigureNack(engine, registry); err != nil {
		return nil, fmt.Errorf("NACK: %w", err)
	}
	err := webrtc.ConfigureRTCPReportsWithOptions(registry,
		[]report.ReceiverOption{report.ReceiverInterval(endpoint.ReportInterval)},
		report.SenderInterval(endpoint.ReportInterval))
	if err != nil {
		return nil, fmt.Errorf("RTCP reports: %w", err)
	}
	if err := webrtc.ConfigureTWCCSender(engine, registry); err != nil {
		return nil, fmt.Errorf("transport-wide feedback: %w", err)
	}
	return registry, nil
}

func servers(list []signaling.ICEServer) []webrtc.ICEServer {
	var out []webrtc.ICEServer
	for _, s := range list {
		server := webrtc.ICEServer{URLs: s.URLs, Username: s.Username}
		if s.Credential != "" {
			server.Credential = s.Credential
		}
		out = append(out, server)
	}
	return out
}

func policy(name string) (webrtc.ICETransportPolicy, error) {
	switch name {
	case "", "all":
		return webrtc.ICETransportPolicyAll, nil
	case "relay":
		return webrtc.ICETransportPolicyRelay, nil
	}
	return 0, fmt.Errorf("no ICE policy %q; valid: all, relay", name)
}

package server_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"

	"github.com/callpath/callpath/cmd/callpath/server"
	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/meeting/policy"
)

// refusal is the code and the rule of a problem.
func refusal(err error) string {
	var p *signaling.Problem
	if errors.As(err, &p) {
		return strings.TrimSpace(p.Code + " " + p.Rule)
	}
	return fmt.Sprint(err)
}

// wants is an error unless err is a refusal with the code and the rule.
func wants(t *testing.T, what string, err error, wanted string) {
	t.Helper()
	if got := refusal(err); got != wanted {
		t.Errorf("%s: %s, wanted %s", what, got, wanted)
	}
}

// audit finds a record of the audit log.
func (p *target) audit(part, what string, allowed bool) map[string]any {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.records {
		if r["msg"] == "audit" && r["part"] == part && r["what"] == what && r["allowed"] == allowed {
			return r
		}
	}
	return nil
}

const cardsMasked = "name: cards\nrules:\n  - {name: hide cards, content: [{type: payment-card}], action: mask}\n"

// From the configuration to a message: policies and rules of data loss prevention hold,
// and hold anew after a reload.
func TestPoliciesAndRulesAreReloaded(t *testing.T) {
	dir := t.TempDir()
	config, rules := filepath.Join(dir, "callpath.yaml"), filepath.Join(dir, "dlp.yaml")
	settings := func(off bool) {
		write(t, config, fmt.Sprintf("chat: {dlp: dlp.yaml}\nmeetings:\n  organization: {DisableAnonymousJoin: %v}\n"+
			"  policies:\n    quiet: {MeetingChatEnabledType: Disabled}\n    open: {AutoAdmittedUsers: Everyone, BlockedAnonymousJoinClientTypes: [Teams]}\n"+
			"  users: {alice: open}\n", off))
	}
	settings(false)
	write(t, rules, cardsMasked)
	p := startServer(t, "--config="+config)
	alice, bob := p.client("alice"), p.client("bob")
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	m, err := alice.CreateMeeting(ctx, signaling.MeetingRequest{Subject: "review"})
	ok(t, err)
	if wanted := p.url() + "/?meeting=" + m.ID; m.JoinURL != wanted {
		t.Errorf("the meeting is joined at %q, wanted %q", m.JoinURL, wanted)
	}
	_, err = alice.JoinMeeting(ctx, m.ID)
	ok(t, err)
	a, err := bob.JoinMeeting(ctx, m.ID)
	ok(t, err)
	if a.Place != policy.Present || a.Rule != "AutoAdmittedUsers" || a.Value != "Everyone" || a.Source != "direct" {
		t.Errorf("bob's admission is %+v, wanted present by the policy that is assigned to alice", a)
	}
	const card = "my card is 4111 1111 1111 1111"
	said, err := bob.MeetingChat(m.ID).Send(ctx, card)
	ok(t, err)
	if said.Text != "my card is **** **** **** ****" || !said.Masked {
		t.Errorf("said %+v, wanted the card masked", said)
	}

	write(t, rules, strings.Replace(cardsMasked, "action: mask", "action: block", 1))
	p.reload <- syscall.SIGHUP
	p.await("the rules", func() bool { return p.reloads(reloaded) == 1 })
	_, err = bob.MeetingChat(m.ID).Send(ctx, card)
	wants(t, "a card that is blocked", err, signaling.CodeBlocked+" hide cards")
	if r := p.audit("chat", "send", false); r == nil || r["rule"] != "dlp: hide cards" || r["user"] != "bob" || strings.Contains(fmt.Sprint(r), "4111") {
		t.Errorf("the audit has %v, wanted bob's message refused, without its text", r)
	}
	write(t, rules, "rules: nonsense")
	p.reload <- syscall.SIGHUP
	p.await("the failed reload", func() bool { return p.reloads(notReloaded) == 1 })
	_, err = bob.MeetingChat(m.ID).Send(ctx, card)
	wants(t, "a card after a failed reload", err, signaling.CodeBlocked+" hide cards")
	write(t, rules, cardsMasked)

	ok(t, bob.LeaveMeeting(ctx, m.ID))
	settings(true)
	p.reload <- syscall.SIGHUP
	p.await("the policies", func() bool { return p.reloads(reloaded) == 2 })
	_, err = bob.JoinMeeting(ctx, m.ID)
	wants(t, "a join of an anonymous user", err, "forbidden DisableAnonymousJoin")
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.has("the configuration has changes that only a restart puts to use") != nil {
		t.Error("a change of policies is said to need a restart")
	}
}

// Both root keys revoked by the operator: nobody reads or writes, at once and after a
// restart too, until one is restored.
func TestAnOperatorRevokesTheKeysOfTheChats(t *testing.T) {
	p := startServer(t)
	keys := control(t, p)
	alice := p.client("alice")
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	thread, err := alice.CreateThread(ctx)
	ok(t, err)
	chat := alice.ThreadChat(thread)
	_, err = chat.Send(ctx, "under the first key")
	ok(t, err)
	ok(t, keys.RotateCustomerKey(ctx))
	dep, err := keys.CustomerKeys(ctx)
	ok(t, err)
	if wanted := (server.DataEncryptionPolicy{Tenant: "home", Name: "chat", Roots: [2]string{"first", "second"}, Versions: 2}); dep != wanted {
		t.Errorf("the policy is %+v, wanted %+v", dep, wanted)
	}
	ok(t, keys.RevokeRootKey(ctx, "first"))
	_, err = chat.Send(ctx, "with one key")
	ok(t, err)
	ok(t, keys.RevokeRootKey(ctx, "second"))
	_, _, err = chat.Messages(ctx, "")
	wants(t, "reading", err, signaling.CodeUnreadable)
	_, err = chat.Send(ctx, "with no key")
	wants(t, "writing", err, signaling.CodeUnreadable)
	if err := keys.RotateCustomerKey(ctx); err == nil {
		t.Error("a key was rotated under revoked root keys")
	}
	if err := keys.RestoreRootKey(ctx, "third"); err == nil || !strings.Contains(err.Error(), "valid: first, second") {
		t.Errorf("restoring a key that is none: %v", err)
	}
	for _, what := range []string{"rotate", "revoke"} {
		if p.audit("customer-key", what, true) == nil {
			t.Errorf("the audit does not have %s", what)
		}
	}
	if p.audit("customer-key", "open", false) == nil && p.audit("customer-key", "unwrap", false) == nil {
		t.Error("the audit does not have the refusal")
	}
	p.end()

	for _, name := range []string{"signaling.store", "customer-keys.vault"} {
		data, err := os.ReadFile(filepath.Join(p.state, name))
		ok(t, err)
		for _, secret := range []string{"under the first key", "alice", thread} {
			if strings.Contains(string(data), secret) {
				t.Errorf("%s holds %q", name, secret)
			}
		}
	}
	again := startServer(t, "--state="+p.state)
	alice = again.client("alice")
	chat = alice.ThreadChat(thread)
	_, _, err = chat.Messages(ctx, "")
	wants(t, "reading after a restart", err, signaling.CodeUnreadable)
	ok(t, control(t, again).RestoreRootKey(ctx, "second"))
	messages, _, err := chat.Messages(ctx, "")
	ok(t, err)
	if len(messages) != 2 || messages[0].Text != "under the first key" {
		t.Errorf("read %+v, wanted both messages", messages)
	}
}

func TestAStateDirectoryIsForOneServer(t *testing.T) {
	p := startServer(t)
	cfg, err := server.Load(server.Source{Flags: map[string]string{"state": p.state, "listen": "127.0.0.1", "relay-udp": "0", "relay-tcp": "",
		"relay-tls": "", "relay-dtls": "", "processor-udp": "0", "signaling-https": "0", "admin-listen": ""}})
	ok(t, err)
	if _, err := server.New(t.Context(), cfg, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "a state directory is for one server at a time") {
		t.Errorf("a second server: %v", err)
	}
}

// meets has a user join a group call and speak there, and returns when media flows both
// ways: what is counted are packets of somebody else.
func (p *target) meets(client *signaling.Client, group, transport string) (pc *webrtc.PeerConnection, heard <-chan struct{}) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	_, err := client.JoinGroup(ctx, group)
	ok(p.t, err)
	settings := webrtc.SettingEngine{}
	settings.SetIncludeLoopbackCandidate(true)
	cfg := webrtc.Configuration{}
	if transport != "" {
		servers, err := client.GroupICEServers(ctx, group)
		ok(p.t, err)
		cfg.ICETransportPolicy = webrtc.ICETransportPolicyRelay
		for _, s := range servers {
			for _, url := range s.URLs {
				if strings.HasPrefix(url, "turn:") && strings.HasSuffix(url, "transport="+transport) {
					cfg.ICEServers = []webrtc.ICEServer{{URLs: []string{url}, Username: s.Username, Credential: s.Credential}}
				}
			}
		}
	}
	pc, err = webrtc.NewAPI(webrtc.WithSettingEngine(settings)).NewPeerConnection(cfg)
	ok(p.t, err)
	p.t.Cleanup(func() { _ = pc.Close() })
	track, err := webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus}, "voice", "voice")
	ok(p.t, err)
	_, err = pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendrecv})
	ok(p.t, err)
	hears := make(chan struct{}, 1)
	pc.OnTrack(func(t *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			if _, _, err := t.ReadRTP(); err != nil {
				return
			}
			select {
			case hears <- struct{}{}:
			default:
			}
		}
	})
	speaking, stop := context.WithCancel(context.Background())
	said := make(chan struct{})
	go func() {
		defer close(said)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for speaking.Err() == nil {
			<-tick.C
			_ = track.WriteSample(media.Sample{Data: make([]byte, 80), Duration: 20 * time.Millisecond})
		}
	}()
	p.t.Cleanup(func() { stop(); <-said })
	offer, err := pc.CreateOffer(nil)
	ok(p.t, err)
	ok(p.t, pc.SetLocalDescription(offer))
	answer, err := client.GroupMedia(ctx, group, pc.LocalDescription().SDP, false)
	ok(p.t, err)
	ok(p.t, pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}))
	return pc, hears
}

// A group call in which one reaches the media processor directly and the other through
// the relay, over TCP, over UDP, and in the kernel where that can be had: the processor's
// address is closed but for its port. Draining, the server waits for the call's end.
func TestAGroupCallGoesOnWhileTheServerDrains(t *testing.T) {
	for name, way := range map[string]struct{ listen, transport, kernel string }{
		"tcp": {"127.0.0.1", "tcp", "off"}, "udp": {"127.0.0.1", "udp", "off"}, "kernel": {"127.0.0.1", "udp", "lo"},
		"both families": {"127.0.0.1,::1", "udp", "off"},
	} {
		t.Run(name, func(t *testing.T) {
			if pc, err := net.ListenPacket("udp6", "[::1]:0"); err == nil {
				ok(t, pc.Close())
			} else if strings.Contains(way.listen, ":") {
				t.Skipf("there is no IPv6 on loopback: %v", err)
			}
			drainsAfterTheCall(t, way.transport, "--listen="+way.listen, "--relay-kernel="+way.kernel)
		})
	}
}

func drainsAfterTheCall(t *testing.T, transport string, flags ...string) {
	log := filepath.Join(t.TempDir(), "negotiation.log")
	logged := slices.Contains(flags, "--relay-kernel=off")
	if logged { // which keeps packets out of the kernel for a while
		flags = append(flags, "--negotiation-log="+log)
	}
	p := startServer(t, append(flags, "--drain=1h")...)
	alice, bob := p.client("alice"), p.client("bob")
	const group = "0b8f8a0e-6f0e-4b0e-9c0e-3f0e6f0e4b0e"
	_, aliceHears := p.meets(alice, group, "")
	bobs, bobHears := p.meets(bob, group, transport)
	for _, hears := range []<-chan struct{}{aliceHears, bobHears} {
		select {
		case <-hears:
		case <-time.After(patience):
			t.Fatal("no media in the group call")
		}
	}
	for metric, wanted := range map[string]string{"callpath_processor_conferences": "1", "callpath_processor_connected": "2",
		"callpath_signaling_meetings": "1", "callpath_signaling_meeting_participants": "2", "callpath_relay_allocations": "1"} {
		if got := p.metric(metric); got != wanted {
			t.Errorf("%s is %s, wanted %s", metric, got, wanted)
		}
	}
	if _, body := p.get("/metrics"); !strings.Contains(body, `callpath_processor_events_total{kind="dtls-negotiated"} 2`) || strings.Contains(body, "alice") {
		t.Errorf("metrics without two handshakes, or with somebody's name:\n%s", body)
	}
	if r := p.audit("processor", "dtls-negotiated", true); r == nil || r["rule"] != "fingerprint" || r["meeting"] != group || r["srtp_profile"] != "AEAD_AES_256_GCM" {
		t.Errorf("the audit has %v, wanted a handshake", r)
	}

	p.stop()
	p.await("draining", func() bool { return p.has("draining") != nil })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	select {
	case <-bobHears: // of before
	default:
	}
	select {
	case <-bobHears:
	case err := <-p.ended:
		t.Fatalf("the server has ended in mid-call: %v", err)
	case <-time.After(patience):
		t.Fatal("no media while the server drains")
	}
	ok(t, alice.LeaveGroup(ctx, group), bob.LeaveGroup(ctx, group), bobs.Close())
	ok(t, p.wait())
	p.await("the report", func() bool {
		return strings.Contains(strings.Join(p.said, "\n"), "0 participants of meetings left")
	})
	if !logged {
		return
	}
	data, err := os.ReadFile(log)
	ok(t, err)
	if !strings.Contains(string(data), `"leg":"processor-1"`) || strings.Contains(string(data), "alice") {
		t.Errorf("the negotiation log lacks the leg at the media processor, or has a name:\n%s", data)
	}
}

// Without a port there is no media processor, and no media in meetings.
func TestWithoutAMediaProcessorMeetingsHaveNoMedia(t *testing.T) {
	p := startServer(t, "--processor-udp=")
	alice := p.client("alice")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := alice.CreateMeeting(ctx, signaling.MeetingRequest{})
	wants(t, "a meeting", err, signaling.CodeUnavailable)
}

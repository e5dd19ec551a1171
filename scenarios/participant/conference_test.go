package participant

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/callpath/callpath/relay/processor"
	"github.com/callpath/callpath/scenarios/language"
	"github.com/callpath/callpath/scenarios/media"
	internet "github.com/callpath/callpath/scenarios/participant/internal/rig"
	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/meeting/policy"
)

// mediaProcessor is the rig's; it can be put in the place of another, as after a crash.
type mediaProcessor struct {
	rig *rig

	mu         sync.Mutex
	controller *signaling.Controller
	current    *processor.Processor
	stop       context.CancelFunc
	stopped    chan struct{}
	port       uint16
}

func newMediaProcessor(r *rig) *mediaProcessor {
	p := &mediaProcessor{rig: r, port: 3600}
	p.start()
	r.t.Cleanup(p.end)
	return p
}

func (p *mediaProcessor) tell(c *signaling.Controller) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.controller = c
}

func (p *mediaProcessor) start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.port++
	ctx, stop := context.WithCancel(context.Background())
	at := netip.AddrPortFrom(internet.Machines["provider"], p.port)
	conn, err := p.rig.Hosts["provider"].ListenPacket(ctx, "udp", at.String())
	if err != nil {
		p.rig.t.Fatal(err)
	}
	p.current, err = processor.New(processor.Config{Sockets: []net.PacketConn{conn}, OnLayout: p.laidOut})
	if err != nil {
		p.rig.t.Fatal(err)
	}
	p.stop, p.stopped = stop, make(chan struct{})
	current, stopped := p.current, p.stopped
	go func() {
		defer close(stopped)
		if err := current.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			p.rig.t.Errorf("media processor: %v", err)
		}
	}()
}

func (p *mediaProcessor) end() {
	p.mu.Lock()
	stop, stopped := p.stop, p.stopped
	p.mu.Unlock()
	stop()
	<-stopped
}

func (p *mediaProcessor) laidOut(l processor.Layout) {
	p.mu.Lock()
	c := p.controller
	p.mu.Unlock()
	var slots []signaling.Slot
	for _, s := range l.Slots {
		slots = append(slots, signaling.Slot{Mid: s.Mid, Kind: s.Kind, Participant: s.Participant})
	}
	c.MediaLayout(l.Conference, l.Participant, slots)
}

func (p *mediaProcessor) running() *processor.Processor {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.current
}

func (p *mediaProcessor) Join(ctx context.Context, conference, participant, offer string, mix bool) (string, error) {
	return p.running().Join(ctx, processor.Join{Conference: conference, Participant: participant, Offer: offer, Mix: mix})
}

func (p *mediaProcessor) Leave(conference, participant string) {
	p.running().Leave(conference, participant)
}
func (p *mediaProcessor) End(conference string) { p.running().End(conference) }

// hears waits until a client has got new packets of each kind from another.
func hears(ctx context.Context, t *testing.T, c client, from string, kinds ...string) {
	t.Helper()
	before := c.Heard()
	err := c.AwaitHeard(ctx, func(h Heard) bool {
		h = h.Since(before)
		return !slices.ContainsFunc(kinds, func(kind string) bool { return !slices.Contains(h.Of(kind), from) })
	})
	if err != nil {
		t.Fatal(err)
	}
}

// group has alice and bob join one group call.
func (r *rig) group(ctx context.Context, clients ...client) {
	r.t.Helper()
	id := uuid.NewString()
	for _, c := range clients {
		if a, err := c.JoinGroup(ctx, id); err != nil || a.Place != policy.Present {
			r.t.Fatalf("join of %s: %+v, %v", c.cfg.User, a, err)
		}
	}
}

// Each has one offer and one answer with the media processor, and hears and sees the
// other, as packets prove; a shared screen comes on a slot of its own, and a restart
// of ICE keeps it all.
func TestAGroupCallThroughTheMediaProcessor(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	r := newRig(t)
	alice := r.join(ctx, "alice", language.Participant{Screen: "h264"})
	bob := r.join(ctx, "bob", language.Participant{Media: []string{"pcmu"}})
	r.group(ctx, alice, bob)
	hears(ctx, t, alice, "bob", media.Audio)
	hears(ctx, t, bob, "alice", media.Audio, media.Video, media.Slides)
	if err := alice.RestartICE(ctx); err != nil {
		t.Fatal(err)
	}
	hears(ctx, t, alice, "bob", media.Audio)
	got := bob.Result()
	if !got.Joined || !slices.Equal(got.Hears, []string{"alice"}) || !slices.Equal(got.Sees, []string{"alice"}) || !slices.Equal(got.Slides, []string{"alice"}) {
		t.Errorf("bob's result is %+v", got)
	}
	for _, s := range got.Streams {
		if s.From != "alice" || s.Slot == "" || s.Corrupt != 0 || s.Intact == 0 {
			t.Errorf("a stream of bob's is %+v", s)
		}
	}
	if got := alice.Result(); got.Restarts != 1 || got.Rejoins != 0 || got.Pair[1] != "host" {
		t.Errorf("alice has %d restarts, %d rejoins and the pair %v", got.Restarts, got.Rejoins, got.Pair)
	}
	if err := bob.Leave(ctx); err != nil {
		t.Fatal(err)
	}
	alice.Alone()
	if err := bob.Leave(ctx); err == nil || bob.Place() != policy.Outside {
		t.Errorf("bob leaves twice, and is %s", bob.Place())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range []string{result.StepResolve, stepAllocate, stepOffer, stepAnswer, result.StepChecks} {
		if !slices.ContainsFunc(r.steps, func(s result.Step) bool { return s.Name == name }) {
			t.Errorf("no step %s in %v", name, r.steps)
		}
	}
}

// Who waits in the lobby has no media until it is admitted, and then negotiates by
// itself; who is removed has none any more.
func TestTheLobby(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	r := newRig(t)
	alice := r.join(ctx, "alice", language.Participant{Media: []string{"opus"}})
	bob := r.join(ctx, "bob", language.Participant{Media: []string{"opus"}})
	made, err := bob.Signaling().CreateMeeting(ctx, signaling.MeetingRequest{Subject: "review"})
	if err != nil {
		t.Fatal(err)
	}
	if a, err := bob.JoinMeeting(ctx, made.ID, true); err != nil || a.Place != policy.Present {
		t.Fatalf("bob: %+v, %v", a, err)
	}
	if a, err := alice.JoinMeeting(ctx, made.ID, true); err != nil || a.Place != policy.Lobby {
		t.Fatalf("alice: %+v, %v", a, err)
	}
	if got := alice.Result(); got.Joined || alice.Place() != policy.Lobby || len(alice.Heard().Packets) != 0 {
		t.Errorf("in the lobby alice has %+v", got)
	}
	alice.catchUp() // nothing has changed for her
	if err := bob.Signaling().Admit(ctx, made.ID, "alice"); err != nil {
		t.Fatal(err)
	}
	hears(ctx, t, alice, "bob", media.Audio)
	hears(ctx, t, bob, "alice", media.Audio)
	bob.catchUp()
	if err := bob.Signaling().RemoveParticipant(ctx, made.ID, "alice"); err != nil {
		t.Fatal(err)
	}
	err = alice.until(ctx, func() (bool, error) { return alice.joined == nil, nil })
	if err != nil || alice.Place() != policy.Outside {
		t.Errorf("alice is %s after she was removed, %v", alice.Place(), err)
	}
	if ended, _ := alice.Ended(); !ended {
		t.Error("alice's media has not ended")
	}
	alice.catchUp()
	_, err = alice.JoinMeeting(ctx, "no-such-meeting", true)
	if problem := (*signaling.Problem)(nil); !errors.As(err, &problem) || alice.Place() != policy.Outside {
		t.Errorf("a meeting that is not there: %v, and alice is %s", err, alice.Place())
	}
}

// When the media processor is gone, another one has not the session's keys: both join
// again, and what they receive counts on in one result.
func TestMediaComesBackOnAnotherProcessor(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	r := newRig(t)
	alice := r.join(ctx, "alice", language.Participant{Media: []string{"opus"}})
	bob := r.join(ctx, "bob", language.Participant{Media: []string{"opus"}})
	r.group(ctx, alice, bob)
	hears(ctx, t, alice, "bob", media.Audio)
	hears(ctx, t, bob, "alice", media.Audio)
	r.processor.end()
	r.processor.start()
	for _, c := range []client{alice, bob} {
		before := c.Result().Streams[0].Intact
		err := c.until(ctx, func() (bool, error) { return c.session.rejoins > 0, nil })
		if err != nil {
			t.Fatalf("%s does not rejoin: %v", c.cfg.User, err)
		}
		hears(ctx, t, c, map[string]string{"alice": "bob", "bob": "alice"}[c.cfg.User], media.Audio)
		got := c.Result()
		if got.Rejoins < 1 || got.Restarts != 0 || got.Gap == 0 || len(got.Streams) < 2 || got.Streams[0].Intact < before {
			t.Errorf("%s: %d rejoins, %d restarts, a gap of %s, %d streams", c.cfg.User, got.Rejoins, got.Restarts, got.Gap, len(got.Streams))
		}
	}
}

// A mix is nobody's: it is counted, and compared with nothing.
func TestAMixIsCounted(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	r := newRig(t)
	alice := r.join(ctx, "alice", language.Participant{Media: []string{"pcmu"}, Mix: true})
	bob := r.join(ctx, "bob", language.Participant{Media: []string{"pcmu"}})
	r.group(ctx, alice, bob)
	if err := alice.AwaitHeard(ctx, func(h Heard) bool { return h.Mixed > 10 }); err != nil {
		t.Fatal(err)
	}
	if got := alice.Heard(); !strings.Contains(got.Text(), "mixed audio") || got.Since(got).Mixed != 0 || len(got.Of(media.Audio)) != 0 {
		t.Errorf("alice got %s", got.Text())
	}
	if got := (Heard{}).Text(); got != "nothing" {
		t.Errorf("nothing is %q", got)
	}
}

func TestAWrongFingerprintInAConference(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	r := newRig(t)
	alice := r.join(ctx, "alice", language.Participant{Fingerprint: "wrong"})
	r.group(ctx, alice)
	short, stop := context.WithCancel(ctx)
	err := alice.until(ctx, func() (bool, error) { return alice.session.chosen, nil })
	stop()
	if err != nil {
		t.Fatal(err)
	}
	if err := alice.AwaitHeard(short, func(Heard) bool { return true }); err == nil || !strings.Contains(err.Error(), "DTLS") {
		t.Errorf("got %v, wanted that DTLS is not complete", err)
	}
}

// RFC 5576: the SSRCs of an m-line are those of its slot.
func TestReadingAnAnswer(t *testing.T) {
	answer := "v=0\r\na=ssrc:1 cname:x\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=ssrc:11 cname:x\r\na=mid:0\r\n" +
		"a=candidate:1 1 udp 2130706431 192.0.2.1 3478 typ host\r\na=candidate:2 1 udp 2130706431 192.0.2.1 3478 typ host\r\n" +
		"m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=ssrc:21 msid:a b\r\na=ssrc:22 msid:a b\r\na=ssrc:many x\r\n"
	got := slotsOf(answer)
	if want := map[uint32]string{1: "", 11: "0", 21: "1", 22: "1"}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("slots %v, wanted %v", got, want)
	}
	if got, want := candidatesInWords(answer), "host 192.0.2.1 port 3478"; got != want {
		t.Errorf("candidates %q, wanted %q", got, want)
	}
}

// An answer comes from the network: whatever it holds, reading it ends.
func FuzzReadingAnAnswer(f *testing.F) {
	f.Add("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ssrc:11 cname:x\r\na=candidate:1 1 udp 2130706431 192.0.2.1 3478 typ host\r\n")
	f.Add("a=ssrc:\r\na=candidate:\r\na=mid:\r\nm=\r\na=ssrc:4294967296\r\n")
	f.Fuzz(func(t *testing.T, sdp string) {
		if n, most := len(slotsOf(sdp)), strings.Count(sdp, "a=ssrc:"); n > most {
			t.Errorf("%d slots of %d lines", n, most)
		}
		if words := candidatesInWords(sdp); words != "" && !strings.Contains(sdp, "a=candidate:") {
			t.Errorf("candidates %q in %q", words, sdp)
		}
	})
}

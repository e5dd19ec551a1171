package processor

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/callpath/callpath/relay/forward/srtp"
	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/relay/processor/description"
	"github.com/callpath/callpath/relay/processor/estimate"
	"github.com/callpath/callpath/relay/processor/icelite"
)

// legState is how far a leg is.
type legState uint8

const (
	answered    legState = iota // an offer was answered; nothing secure has come yet
	handshaking                 // DTLS goes on
	connected                   // the certificate is the offer's; media flows
	over                        // taken away
)

// legEvent is what happens to a leg.
type legEvent uint8

const (
	heardHello legEvent = iota // DTLS has begun
	verified                   // DTLS is complete, and the certificate is the offer's
	mismatched                 // the certificate is not the offer's
	failed                     // the handshake failed
	late                       // it took too long
	silent                     // consent has expired
	closed                     // the peer has closed DTLS
	wasEnded                   // the caller ended it
	replaced                   // the participant has joined anew
)

// legTable is the leg's state machine: state × event → state. All that ends a leg ends it
// in each state; after that nothing happens.
var legTable = [...][replaced + 1]legState{
	//            hello        verified   mismatched failed late   silent closed wasEnded replaced
	answered:    {handshaking, connected, over, over, over, over, over, over, over},
	handshaking: {handshaking, connected, over, over, over, over, over, over, over},
	connected:   {connected, connected, connected, connected, connected, over, over, over, over},
	over:        {over, over, over, over, over, over, over, over, over},
}

// legEnds says which event is told when something ends a leg.
var legEnds = [...]EventKind{
	mismatched: EventFingerprint,
	failed:     EventFailed,
	late:       EventFailed,
	silent:     EventConsent,
	closed:     EventLeft,
	wasEnded:   EventLeft,
	replaced:   EventReplaced,
}

// leg is a participant's transport, with its media in both directions.
type leg struct {
	w          *worker
	conference *conference
	name       string
	mix        bool
	latching   bool
	offer      *description.Offer
	state      legState
	begun      time.Time // when the leg was answered first
	heard      time.Time // when consent was last given
	recorder   *negotiation.Recorder
	sampled    [2]int // packets of media that the recorder was shown, from the peer and to it

	session, version uint64
	cname            string
	// passwords are those of the fragments that checks may have: of the current answer,
	// and of the one before until a check has the current one (RFC 8445, section 9).
	passwords map[string]string
	ufrag     string
	// paths are the addresses from which valid checks came, the newest last; remote is
	// the one that is sent to.
	paths     []netip.AddrPort
	remote    netip.AddrPort
	nominated bool

	association *association
	opener      *srtp.Opener
	sealer      *srtp.Sealer
	overhead    int

	// ssrc is the sender's of RTCP that is no slot's.
	ssrc       uint32
	extensions description.Extensions // by which what it sends is read
	tracks     []*track
	streams    map[uint32]*layer // by SSRC
	repairs    map[uint32]*layer // by the SSRC of retransmissions
	slots      []*slot
	bySSRC     map[uint32]*slot

	// What is sent to it.
	estimate  *estimate.Sender
	measured  bool // it sends feedback for an estimate
	reported  time.Time
	layout    []Slot
	clock     clock
	arrivals  *estimate.Recorder
	rtt       time.Duration
	probing   probing
	pacer     pacer
	allocated time.Time
}

// mostPaths bounds the addresses of one leg: a client has a few interfaces, and a NAT
// gives each a few addresses.
const mostPaths = 16

// on makes a step of the state machine. Nothing may be done with the leg after one that
// ends it.
func (l *leg) on(e legEvent, reason string) {
	next := legTable[l.state][e]
	if next == l.state {
		return
	}
	l.state = next
	switch next {
	case connected:
		l.heard = l.w.now
		l.conference.changed = true
	case over:
		l.remove()
		l.w.event(Event{Kind: legEnds[e], Conference: l.conference.name, Participant: l.name, Remote: l.remote, Reason: reason})
		l.w.sweep(l.conference)
	}
}

// answer makes the answer to an offer, which is the first or one that changes media or
// restarts ICE.
func (l *leg) answer(offer *description.Offer) (string, error) {
	restart := l.offer == nil || offer.Ufrag != l.offer.Ufrag || offer.Pwd != l.offer.Pwd
	if restart && !l.latching {
		c, err := icelite.NewCredentials(l.w.p.cfg.Rand)
		if err != nil {
			return "", err
		}
		for ufrag := range l.passwords {
			if ufrag != l.ufrag {
				l.forget(ufrag)
			}
		}
		l.ufrag = c.Ufrag
		l.passwords[c.Ufrag] = c.Pwd
		l.w.byUfrag[c.Ufrag] = l
	}
	slots, err := l.configure(offer)
	if err != nil {
		return "", err
	}
	l.offer = offer
	l.version++
	a := description.Answer{
		ID: l.session, Version: l.version, Ufrag: l.ufrag, Pwd: l.passwords[l.ufrag],
		Fingerprint: l.w.p.fingerprint, Candidates: l.w.public, CName: l.cname, Slots: slots,
	}
	return offer.Answer(a), nil
}

// describe shows what was agreed on to the leg's recorder.
func (l *leg) describe(offer, answer string, err error) {
	if l.recorder != nil && err == nil {
		l.recorder.Description(false, "offer", offer)
		l.recorder.Description(true, "answer", answer)
	}
}

func (l *leg) forget(ufrag string) {
	delete(l.passwords, ufrag)
	delete(l.w.byUfrag, ufrag)
}

// checked takes a valid check. The first address is used before one is nominated, since
// a full agent may send on any valid pair by then (RFC 8445, section 12.1).
func (l *leg) checked(from netip.AddrPort, ufrag string, nominates bool) {
	l.heard = l.w.now
	if ufrag == l.ufrag && len(l.passwords) > 1 {
		for old := range l.passwords {
			if old != l.ufrag {
				l.forget(old)
			}
		}
	}
	if i := slices.Index(l.paths, from); i >= 0 {
		if l.w.byAddr[from] == l && !nominates {
			return
		}
		l.paths = slices.Delete(l.paths, i, i+1)
	}
	l.paths = append(l.paths, from)
	l.w.byAddr[from] = l
	if len(l.paths) > mostPaths {
		oldest := 0
		if l.paths[0] == l.remote {
			oldest = 1
		}
		l.unpath(l.paths[oldest])
		l.paths = slices.Delete(l.paths, oldest, oldest+1)
	}
	if nominates || !l.remote.IsValid() {
		l.move(from, nominates)
	}
}

// defended is for how long after a valid check the selected address is a leg's and no
// other's: two intervals of consent checks (RFC 7675, section 5.1).
const defended = 12 * time.Second

// defends says whether an address that another leg's check came from stays this one's. Or
// a participant who can forge addresses could take those of others, and so what they send.
func (l *leg) defends(at netip.AddrPort, other *leg) bool {
	same := l.conference == other.conference && l.name == other.name
	return l != other && !same && l.state == connected && l.remote == at && l.w.now.Sub(l.heard) <= defended
}

// move sends to another address from here on.
func (l *leg) move(to netip.AddrPort, nominated bool) {
	if l.remote == to && l.nominated == nominated {
		return
	}
	news := l.remote != to || nominated && !l.nominated
	l.remote, l.nominated = to, nominated || l.nominated
	l.association.move(to)
	if news && nominated {
		l.w.event(Event{Kind: EventSelected, Conference: l.conference.name, Participant: l.name, Remote: to})
	}
}

func (l *leg) unpath(at netip.AddrPort) {
	if l.w.byAddr[at] == l {
		delete(l.w.byAddr, at)
	}
}

// tape shows a datagram to the leg's recorder.
func (l *leg) tape(outbound bool, peer netip.AddrPort, b []byte) {
	if l.recorder != nil {
		l.recorder.Stream(l.w.now, outbound, l.w.public[0], peer, "udp", b)
	}
}

// mediaSample is how many packets of media, in each direction, a recorder is shown.
const mediaSample = 100

// sample shows the beginning of the media to the leg's recorder, so that its record says
// whether media flowed.
func (l *leg) sample(outbound bool, b []byte) {
	if l.recorder == nil {
		return
	}
	way := 0
	if outbound {
		way = 1
	}
	if l.sampled[way] < mediaSample {
		l.sampled[way]++
		l.tape(outbound, l.remote, b)
	}
}

// sampling keeps a packet that has come as it is, while there is a sample to be made: opened
// it is another, and only one that can be opened is the peer's.
func (l *leg) sampling(b []byte) []byte {
	if l.recorder == nil || l.sampled[0] >= mediaSample {
		return nil
	}
	return slices.Clone(b)
}

// secured takes the end of the handshake.
func (l *leg) secured(a *association, result handshaken) {
	if l.state == over || l.association != a {
		return
	}
	if result.err != nil {
		event := failed
		if result.mismatch {
			event = mismatched
		}
		l.on(event, result.err.Error())
		return
	}
	l.opener, l.sealer = result.receive.Opener(srtp.OpenerConfig{}), result.send.Sealer()
	l.overhead = result.send.Profile().Overhead()
	l.on(verified, "")
	l.w.event(Event{
		Kind: EventNegotiated, Conference: l.conference.name, Participant: l.name, Remote: l.remote, Negotiated: &result.negotiated,
	})
}

// look ends a leg that has been silent, or is not connected, for too long.
func (l *leg) look() {
	limits := l.w.p.cfg.Limits
	switch {
	case l.state != connected && l.w.now.Sub(l.begun) > limits.Connect:
		l.on(late, fmt.Sprintf("not connected within %v", limits.Connect))
	case l.state == connected && l.w.now.Sub(l.heard) > limits.Consent:
		l.on(silent, fmt.Sprintf("no valid check for %v", limits.Consent))
	}
}

// remove takes the leg out of everything.
func (l *leg) remove() {
	l.association.close()
	l.w.latches.remove(l)
	for ufrag := range l.passwords {
		l.forget(ufrag)
	}
	for _, at := range l.paths {
		l.unpath(at)
	}
	l.conference.remove(l)
}

package light

import (
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v4"

	"github.com/callpath/callpath/relay/processor/icelite"
)

var (
	began = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	first = netip.MustParseAddrPort("192.0.2.1:3478")
	other = netip.MustParseAddrPort("192.0.2.2:3478")
	us    = netip.MustParseAddrPort("198.51.100.1:5000")
)

func newAgent(candidates ...netip.AddrPort) *agent {
	return &agent{
		local: credentials{"left", "leftleftleftleftleftle"}, remote: credentials{"right", "rightrightrightrightri"},
		candidates: candidates, tieBreaker: 0x0102030405060708, chance: func() float64 { return 0.5 }, due: began,
	}
}

// lite answers a check as a media processor does.
func lite(t *testing.T, check []byte) (answer []byte, nominates bool) {
	t.Helper()
	var r icelite.Request
	if err := r.Read(check); err != nil {
		t.Fatalf("%v: %x", err, check)
	}
	if string(r.Local) != "right" || string(r.Remote) != "left" {
		t.Errorf("fragments %s:%s", r.Local, r.Remote)
	}
	const pwd = "rightrightrightrightri"
	if code := r.Check(pwd); code != 0 {
		t.Fatalf("refused with %d: %x", code, check)
	}
	answer, err := r.Success(us, pwd)
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte(nil), answer...), r.UseCandidate
}

func due(t *testing.T, a *agent, now time.Time) []byte {
	t.Helper()
	b, err := a.next(now)
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte(nil), b...)
}

// RFC 8445, section 8.1.1: regular nomination, by a second check; RFC 7675: consent.
func TestAgentChecksNominatesAndKeepsConsent(t *testing.T) {
	a := newAgent(first)
	now := began
	answer, nominates := lite(t, due(t, a, now))
	if nominates || a.state != checking {
		t.Errorf("the first check nominates: %t, state %d", nominates, a.state)
	}
	if again := due(t, a, now); len(again) > 0 {
		t.Error("a second check at once")
	}
	if err := a.answer(answer, first, now); err != nil || a.state != nominating {
		t.Fatalf("%v, state %d", err, a.state)
	}
	answer, nominates = lite(t, due(t, a, now))
	if !nominates {
		t.Error("the second check does not nominate")
	}
	if err := a.answer(answer, first, now); err != nil || a.state != selected || a.to() != first {
		t.Fatalf("%v, state %d", err, a.state)
	}
	for range 20 {
		now = a.due
		check := due(t, a, now)
		if len(check) == 0 {
			t.Fatal("no check for consent")
		}
		answer, nominates = lite(t, check)
		if err := a.answer(answer, first, now); err != nil || nominates {
			t.Fatalf("%v, nominates %t", err, nominates)
		}
	}
	// Nobody answers any more.
	for end := now.Add(time.Minute); a.state == selected && now.Before(end); now = a.due {
		due(t, a, now)
	}
	if a.state != dead || now.Sub(a.heard) < consentExpires || now.Sub(a.heard) > consentExpires+2*consentEvery {
		t.Errorf("state %d, %v after consent was given", a.state, now.Sub(a.heard))
	}
}

// RFC 8489, section 6.2.1: seven transmissions, then the next candidate.
func TestAgentGoesOnToTheNextCandidate(t *testing.T) {
	a := newAgent(first, other)
	counts := map[netip.AddrPort]int{}
	for now := began; a.state == checking; now = a.due {
		if len(due(t, a, now)) > 0 {
			counts[a.to()]++
		}
		if a.due == now {
			break
		}
	}
	if counts[first] != transmissions || counts[other] != transmissions || a.state != dead {
		t.Errorf("%v checks, state %d", counts, a.state)
	}
}

// RFC 8445, section 7.2.5.2: what is not the answer changes nothing.
func TestAgentTakesOnlyAnswersToItsChecks(t *testing.T) {
	a := newAgent(first)
	answer, _ := lite(t, due(t, a, began))
	forged := append([]byte(nil), answer...)
	forged[len(forged)-20] ^= 1
	for name, c := range map[string]struct {
		datagram []byte
		from     netip.AddrPort
	}{
		"from elsewhere":  {answer, other},
		"not authentic":   {forged, first},
		"no STUN message": {[]byte{0, 1, 2}, first},
		"a request":       {due(t, newAgent(first), began), first},
		"of another transaction": {func() []byte {
			other, _ := lite(t, due(t, newAgent(first), began))
			return other
		}(), first},
	} {
		if err := a.answer(c.datagram, c.from, began); err == nil || a.state != checking {
			t.Errorf("%s: state %d (%v)", name, a.state, err)
		}
	}
	if err := a.answer(answer, first, began); err != nil {
		t.Error(err)
	}
}

func FuzzAgentAnswer(f *testing.F) {
	m, err := stun.Build(stun.TransactionID, stun.BindingSuccess, stun.Fingerprint)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(m.Raw)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, datagram []byte) {
		a := newAgent(first)
		if _, err := a.next(began); err != nil {
			t.Fatal(err)
		}
		if a.answer(datagram, first, began) == nil {
			t.Errorf("took %x, which nobody with the password has made", datagram)
		}
	})
}

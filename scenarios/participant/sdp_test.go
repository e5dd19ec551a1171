package participant

import (
	"slices"
	"strings"
	"testing"
)

// description is one of two m-lines with the directions given; empty writes none.
func description(session, audio, video string) string {
	lines := []string{"v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", session,
		"m=audio 9 UDP/TLS/RTP/SAVPF 111 0", "a=mid:0", audio, "a=rtpmap:111 opus/48000/2", "a=rtpmap:0 PCMU/8000",
		"m=video 9 UDP/TLS/RTP/SAVPF 96", video, "a=mid:1", "a=rtpmap:96 VP8/90000",
		"a=fingerprint:sha-256 0A:1B"}
	lines = slices.DeleteFunc(lines, func(l string) bool { return l == "" })
	return strings.Join(lines, "\r\n") + "\r\n"
}

// directionsOf are the directions as they stand.
func directionsOf(sdp string) []string {
	var out []string
	mapDirections(sdp, func(l line) int {
		out = append(out, directionNames[l.direction])
		return l.direction
	})
	return out
}

func TestDirections(t *testing.T) {
	tests := []struct {
		name, sdp string
		want      []string
	}{
		{"none is sendrecv", description("", "", ""), []string{"sendrecv", "sendrecv"}},
		{"one of the session", description("a=recvonly", "", "a=sendonly"), []string{"recvonly", "sendonly"}},
		{"each its own", description("", "a=inactive", "a=recvonly"), []string{"inactive", "recvonly"}},
	}
	for _, test := range tests {
		if got := directionsOf(test.sdp); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
		same := mapDirections(test.sdp, func(l line) int { return l.direction })
		if got := directionsOf(same); !slices.Equal(got, test.want) {
			t.Errorf("%s, written again: %v, want %v", test.name, got, test.want)
		}
	}
}

// TestOutgoing is RFC 3264, section 8.4.
func TestOutgoing(t *testing.T) {
	all := []string{"audio", "video"}
	tests := []struct {
		name          string
		audio, video  string
		sent          []string
		holding, held bool
		want          []string
	}{
		{"no hold", "a=sendrecv", "a=recvonly", all, false, false, []string{"sendrecv", "recvonly"}},
		{"who holds", "a=sendrecv", "a=recvonly", all, true, false, []string{"sendonly", "inactive"}},
		{"who is held", "a=sendrecv", "a=sendonly", all, false, true, []string{"recvonly", "inactive"}},
		{"both hold", "a=sendrecv", "a=sendrecv", all, true, true, []string{"inactive", "inactive"}},
		{"no picture to send", "a=sendrecv", "a=sendrecv", []string{"audio"}, false, false, []string{"sendrecv", "recvonly"}},
	}
	for _, test := range tests {
		got := directionsOf(outgoing(description("", test.audio, test.video), test.sent, test.holding, test.held))
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

// TestMirror: the stack sees the directions that were agreed at first, and a hold
// shows when nothing receives any more.
func TestMirror(t *testing.T) {
	var m mirror
	steps := []struct {
		name, audio, video string
		held               bool
	}{
		{"first", "a=sendrecv", "a=recvonly", false},
		{"hold", "a=sendonly", "a=inactive", true},
		{"hold and held", "a=inactive", "a=inactive", true},
		{"answer of who is held", "a=recvonly", "a=recvonly", false},
		{"resume", "a=sendrecv", "a=recvonly", false},
	}
	for _, step := range steps {
		forStack, held := m.incoming(description("", step.audio, step.video))
		if held != step.held {
			t.Errorf("%s: held is %v, want %v", step.name, held, step.held)
		}
		if got := directionsOf(forStack); !slices.Equal(got, []string{"sendrecv", "recvonly"}) {
			t.Errorf("%s: the stack sees %v", step.name, got)
		}
	}
}

// TestAnswering is RFC 3264, section 6.1.
func TestAnswering(t *testing.T) {
	tests := []struct{ offer, want string }{
		{"sendrecv", "sendrecv"}, {"sendonly", "recvonly"}, {"recvonly", "sendonly"}, {"inactive", "inactive"},
	}
	for _, test := range tests {
		var m mirror
		m.incoming(description("", "a="+test.offer, "a="+test.offer))
		if got := directionsOf(m.answering(description("", "", "a=inactive"))); !slices.Equal(got, []string{test.want, "inactive"}) {
			t.Errorf("the answer to %s is %v, want %s, and inactive", test.offer, got, test.want)
		}
	}
}

func TestReading(t *testing.T) {
	d := description("", "a=sendrecv", "a=recvonly")
	if got := kinds(d); !slices.Equal(got, []string{"audio"}) {
		t.Errorf("kinds are %v, want audio", got)
	}
	if got := kinds(strings.Replace(d, "m=audio 9", "m=audio 0", 1)); len(got) != 0 {
		t.Errorf("kinds of a rejected m-line are %v, want none", got)
	}
	rates := clockRates(d + "a=rtpmap:x y\r\na=rtpmap:200 big/1\r\na=rtpmap:5 short\r\n")
	if len(rates) != 3 || rates[111] != 48000 || rates[0] != 8000 || rates[96] != 90000 {
		t.Errorf("clock rates are %v", rates)
	}
	if got := attribute(d, "mid"); got != "0" {
		t.Errorf("the first mid is %q", got)
	}
	if got := attribute(d, "ice-ufrag"); got != "" {
		t.Errorf("ice-ufrag is %q, want none", got)
	}
	if got := forge(d); !strings.Contains(got, "a=fingerprint:sha-256 F5:1B") || len(got) != len(d) {
		t.Errorf("the forged description is %q", got)
	}
	if got := candidateAddress("candidate:1 1 udp 9 192.0.2.1 5000 typ host"); got != "192.0.2.1 port 5000" {
		t.Errorf("the candidate's address is %q", got)
	}
	if got := candidateAddress("nothing"); got != "nothing" {
		t.Errorf("the address of no candidate is %q", got)
	}
}

// FuzzDescription: whatever the other side writes, reading it does not fail, and a
// description that was written once does not change again.
func FuzzDescription(f *testing.F) {
	f.Add(description("", "a=sendrecv", "a=recvonly"))
	f.Add(description("a=inactive", "", ""))
	f.Add("m=audio")
	f.Add("m=\na=sendonly\r\na=sendonly")
	f.Add("a=rtpmap:1 a/b/c\na=fingerprint:x y")
	f.Fuzz(func(t *testing.T, sdp string) {
		var m mirror
		once, _ := m.incoming(sdp)
		if twice, _ := m.incoming(once); twice != once {
			t.Errorf("written once %q, again %q", once, twice)
		}
		outgoing(sdp, []string{"audio"}, true, true)
		kinds(sdp)
		clockRates(sdp)
		forge(sdp)
		attribute(sdp, "ice-ufrag")
	})
}

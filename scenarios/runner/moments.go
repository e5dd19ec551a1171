package runner

import (
	"time"

	"github.com/callpath/callpath/topology"
)

// maxMoments bounds what a run keeps of the times of media packets; a run of ten
// minutes with many participants stays below.
const maxMoments = 4_000_000

// moments are the times at which packets of media, DTLS among them, reached or left
// the hosts of clients: what proves that nobody in a lobby had any. mu is held by
// who uses it.
type moments struct {
	byHost   map[string][]time.Time
	byStream map[stream][]time.Time // inside streams to the relay, which may be TLS
	kept     int
}

func newMoments() *moments {
	return &moments{byHost: map[string][]time.Time{}, byStream: map[stream][]time.Time{}}
}

func (m *moments) host(name string, at time.Time) {
	if m.kept++; m.kept <= maxMoments {
		m.byHost[name] = append(m.byHost[name], at)
	}
}

func (m *moments) stream(s stream, at time.Time) {
	if m.kept++; m.kept <= maxMoments {
		m.byStream[s] = append(m.byStream[s], at)
	}
}

// isMedia is true for what a person in a lobby must neither get nor give.
func isMedia(k kind) bool { return k == kindDTLS || k == kindSRTP }

// mediaDuring counts the packets of media at a host at times for which during is
// true.
func (t *traffic) mediaDuring(host string, during func(time.Time) bool) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	var n uint64
	count := func(times []time.Time) {
		for _, at := range times {
			if during(at) {
				n++
			}
		}
	}
	count(t.moments.byHost[host])
	seen := map[stream]bool{}
	for key := range t.legs {
		if key.stream.client.IsValid() && (key.from == host || key.to == host) && !seen[key.stream] {
			seen[key.stream] = true
			count(t.moments.byStream[key.stream])
		}
	}
	return n
}

// isClient is true for the host of a participant.
func (t *traffic) isClient(host string) bool {
	role, known := t.roles[host]
	return known && (role == "" || role == topology.Client)
}

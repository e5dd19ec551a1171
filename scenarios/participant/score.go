package participant

import (
	"fmt"
	"time"

	"github.com/callpath/callpath/scenarios/media"
)

// codecImpairment are the equipment impairment factors of the E-model: Ie and Bpl
// of ITU-T G.113, appendix I, for G.711 with packet loss concealment. G.113 has
// none for Opus in this band; it is taken as without impairment of its own, and as
// robust against loss as G.711 with concealment.
var codecImpairment = map[media.Codec]struct{ ie, bpl float64 }{
	media.PCMU: {0, 25.1},
	media.Opus: {0, 25.1},
}

// bufferDelay is what a client's jitter buffer and packet time add to the way: two
// packets of 20 ms.
const bufferDelay = 40 * time.Millisecond

// mos estimates the mean opinion score of speech by the E-model (ITU-T G.107) with
// its default values: R = 93.2 - Id - Ie,eff. loss is from 0 to 1, delay that of
// mouth to ear.
func mos(c media.Codec, loss float64, delay time.Duration) float64 {
	impairment := codecImpairment[c]
	ppl := loss * 100
	ms := delay.Seconds() * 1000
	// The simplified form of Id over absolute delay, G.107's with no echo.
	id := 0.024 * ms
	if ms > 177.3 {
		id += 0.11 * (ms - 177.3)
	}
	ie := impairment.ie + (95-impairment.ie)*ppl/(ppl+impairment.bpl)
	switch r := 93.2 - id - ie; {
	case r <= 0:
		return 1
	case r >= 100:
		return 4.5
	default:
		return 1 + 0.035*r + r*(r-60)*(100-r)*7e-6
	}
}

// score rates an interval of audio.
func (s *stream) score(loss float64, trip time.Duration) {
	delay := trip/2 + bufferDelay + 2*s.jitter()
	s.mos.put(max(1, mos(s.format.Codec, loss, delay)))
	s.trips.add(delay)
	s.lossy.put(loss)
}

// inputs says in words what the scores were made from.
func (s *stream) inputs() string {
	if s.mos.count == 0 {
		return ""
	}
	return fmt.Sprintf("mean of %d intervals of %s; loss %.2f %%, delay %s (half of the round trip, twice the jitter, %s of buffer), %s",
		s.mos.count, interval, s.lossy.value()*100,
		time.Duration(s.trips.value()).Round(100*time.Microsecond), bufferDelay, s.format.Codec)
}

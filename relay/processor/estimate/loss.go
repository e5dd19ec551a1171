package estimate

import (
	"math"
	"time"
)

// The loss-based controller of section 6: above lossMuch it goes down by half of the part
// that is lost, below lossLittle it goes up, and in between it stays.
const (
	lossMuch   = 0.10
	lossLittle = 0.02
	lossUp     = 1.05 // each lossInterval
	// lossInterval is how often it is adjusted, and lossPackets of how many at least.
	lossInterval = 200 * time.Millisecond
	lossPackets  = 20
)

// lossControl is the loss-based estimate in bit/s.
type lossControl struct {
	rate float64
	part float64 // lost, smoothed
	// since the last adjustment
	lost, all int
	adjusted  time.Duration
}

// packet counts one packet of which it is known now whether it arrived.
func (l *lossControl) packet(received bool) {
	l.all++
	if !received {
		l.lost++
	}
}

// update adjusts the rate, when it is time.
func (l *lossControl) update(now time.Duration) {
	if l.adjusted == 0 {
		l.adjusted = now
	}
	if l.all < lossPackets || now-l.adjusted < lossInterval {
		return
	}
	l.adjust(float64(l.lost)/float64(l.all), now)
}

func (l *lossControl) adjust(part float64, now time.Duration) {
	elapsed := min(now-l.adjusted, time.Second)
	l.part += (part - l.part) / 2
	switch {
	case part > lossMuch:
		l.rate *= 1 - part/2
	case part < lossLittle:
		l.rate *= math.Pow(lossUp, elapsed.Seconds()/lossInterval.Seconds())
	}
	l.lost, l.all, l.adjusted = 0, 0, now
}

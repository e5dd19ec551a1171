package estimate

import (
	"math"
	"time"
)

// state is what the rate does.
type state uint8

const (
	stateIncrease state = iota
	stateHold
	stateDecrease
)

// transitions is the table of section 5.5: what usage makes of a state.
var transitions = [...][3]state{
	stateIncrease: {usageNormal: stateIncrease, usageOver: stateDecrease, usageUnder: stateHold},
	stateHold:     {usageNormal: stateIncrease, usageOver: stateDecrease, usageUnder: stateHold},
	stateDecrease: {usageNormal: stateHold, usageOver: stateDecrease, usageUnder: stateHold},
}

const (
	backoffFactor = 0.85
	growth        = 1.08 // each second, far from what the path was found to carry
	// ahead is how much more than what arrives the rate may be: nobody knows whether the
	// path carries more.
	ahead      = 1.5
	aheadExtra = 10_000
	packetBits = 1200 * 8
	// again is the shortest time between two decreases: the first must show its effect.
	again = 200 * time.Millisecond
	// averaging of the rate at which the path was found to be full.
	averaging = 0.05
	deviation = 3
)

// rateControl is the delay-based estimate in bit/s (section 5.5).
type rateControl struct {
	rate      float64
	state     state
	updated   time.Duration
	decreased time.Duration
	// What arrived when queues grew: its average, and the variance in parts of it.
	full, variance float64
	overuses       uint64
}

// update takes in the detector's word at a time. delivered is what arrives, in bit/s; 0
// when it is not known.
func (r *rateControl) update(u usage, delivered float64, rtt, now time.Duration) {
	elapsed := min(now-r.updated, time.Second)
	if r.updated == 0 {
		elapsed = 0
	}
	r.updated = now
	r.state = transitions[r.state][u]
	switch r.state {
	case stateIncrease:
		if r.full > 0 && delivered > r.full+deviation*math.Sqrt(r.variance*r.full) {
			r.full = 0 // the path carries more now
		}
		to := r.rate * math.Pow(growth, elapsed.Seconds())
		if r.full > 0 {
			response := (rtt + 100*time.Millisecond).Seconds()
			to = r.rate + max(1000, 0.5*packetBits/response)*elapsed.Seconds()
		}
		// Not known is nothing: after a pause the path may be another.
		if delivered <= 0 {
			to = 0
		}
		r.rate = max(r.rate, min(to, ahead*delivered+aheadExtra))
	case stateDecrease:
		if r.decreased != 0 && now-r.decreased < max(again, rtt) {
			return
		}
		r.decreased = now
		r.overuses++
		if delivered <= 0 {
			r.rate *= backoffFactor
			return
		}
		r.found(delivered)
		r.rate = min(r.rate, backoffFactor*delivered)
	}
}

// found says that the path was full when so much arrived.
func (r *rateControl) found(delivered float64) {
	if r.full == 0 || delivered < r.full-deviation*math.Sqrt(r.variance*r.full) {
		r.full, r.variance = delivered, 0.4*1000
		return
	}
	off := delivered - r.full
	r.full += averaging * off
	r.variance = min(max((1-averaging)*r.variance+averaging*off*off/r.full, 0.4*1000), 2.5*1000)
}

package tally

import (
	"fmt"
	"slices"
	"time"

	"github.com/callpath/callpath/relay/reception"
)

// Score is the estimated quality of voice: how many intervals of streams were worse than
// what. A score that is low is bad, so the low percentiles are the interesting ones.
type Score struct {
	// Intervals is how many were scored, each one second of one stream.
	Intervals uint64  `json:"intervals"`
	Min       float64 `json:"min"`
	P1        float64 `json:"p1"`
	P5        float64 `json:"p5"`
	P50       float64 `json:"p50"`
	Mean      float64 `json:"mean"`
	// Inputs are what the median and the worst interval were scored from, in words.
	Inputs string `json:"inputs"`
	Worst  string `json:"worst"`
}

// frame is how much voice one packet of the load holds.
const frame = 20 * time.Millisecond

// Score scores the voice that was received with a codec of reception.CodecOf. It is nil
// when there was none.
func (t *Tally) Score(codec string) (*Score, error) {
	known, ok := reception.CodecOf(codec)
	if !ok {
		return nil, fmt.Errorf("codec %q has no values for the E-model", codec)
	}
	type scored struct {
		reception.Estimate
		count uint64
	}
	var all []scored
	s := &Score{}
	for i, n := range t.voice {
		e := i.voice(known).Estimate()
		all = append(all, scored{e, n})
		s.Intervals += n
		s.Mean += e.MOS * float64(n)
	}
	if len(all) == 0 {
		return nil, nil
	}
	s.Mean /= float64(s.Intervals)
	slices.SortFunc(all, func(a, b scored) int {
		switch {
		case a.MOS < b.MOS:
			return -1
		case a.MOS > b.MOS:
			return 1
		}
		return 0
	})
	at := func(share float64) scored {
		left := uint64(share * float64(s.Intervals))
		for _, e := range all {
			if left < e.count {
				return e
			}
			left -= e.count
		}
		return all[len(all)-1]
	}
	s.Min, s.P1, s.P5, s.P50 = all[0].MOS, at(0.01).MOS, at(0.05).MOS, at(0.5).MOS
	s.Inputs, s.Worst = at(0.5).Inputs, all[0].Inputs
	return s, nil
}

// voice is the interval as the E-model has it.
func (i interval) voice(codec reception.Codec) reception.Voice {
	v := reception.Voice{
		Codec: codec,
		Delay: reception.MouthToEar(time.Duration(i.rtt)*rttUnit, frame, time.Duration(i.jitter)*jitterUnit),
	}
	if i.expected > 0 {
		v.Loss = float64(i.lost) / float64(i.expected)
	}
	if i.gaps > 0 && i.lost > 0 {
		// The mean length of gaps over what it would be if each packet were lost by
		// chance (G.107, clause 7.5).
		v.BurstRatio = float64(i.lost) / float64(i.gaps) * (1 - v.Loss)
	}
	return v
}

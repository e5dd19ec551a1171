package codec

// past conceals missing packets for codecs that do not do it themselves: it goes on with
// the last period of what was heard, ever more softly, as ITU-T G.711 Appendix I does.
type past struct {
	// heard are the last samples, the newest last.
	heard []int16
	// lag is the period that is repeated, at how far into it, and loud how much is left of
	// its loudness, in parts of 1; while something is missing.
	lag, at int
	loud    float32
	missing bool
	// fade is by how much it gets softer with each sample, and least and most bound the
	// period: voices have 66 to 400 Hz.
	fade        float32
	least, most int
}

// silentAfter is after how many milliseconds of concealment there is silence.
const silentAfter = 60

func newPast(rate int) past {
	most := rate * 15 / 1000
	return past{
		heard: make([]int16, 3*most), least: rate * 25 / 10000, most: most,
		fade: 1000 / float32(silentAfter*rate),
	}
}

// put takes in what was heard.
func (p *past) put(pcm []int16) {
	p.missing = false
	if n := len(p.heard); len(pcm) >= n {
		copy(p.heard, pcm[len(pcm)-n:])
		return
	}
	copy(p.heard, p.heard[len(pcm):])
	copy(p.heard[len(p.heard)-len(pcm):], pcm)
}

// conceal fills pcm.
func (p *past) conceal(pcm []int16) {
	if !p.missing {
		p.missing, p.loud, p.at, p.lag = true, 1, 0, p.period()
	}
	last := p.heard[len(p.heard)-p.lag:]
	for i := range pcm {
		pcm[i] = int16(float32(last[p.at]) * p.loud)
		p.loud = max(p.loud-p.fade, 0)
		if p.at++; p.at == p.lag {
			p.at = 0
		}
	}
}

// period returns the lag at which the end of what was heard is most like what was before
// it: the highest correlation, in relation to the energy.
func (p *past) period() int {
	best, lag := float32(0), p.most
	n := len(p.heard)
	end := p.heard[n-p.most:]
	for l := p.least; l <= p.most; l++ {
		before := p.heard[n-p.most-l : n-l]
		var correlation, energy float32
		for i, s := range end {
			b := float32(before[i])
			correlation += float32(s) * b
			energy += b * b
		}
		if correlation > 0 && energy > 0 {
			if score := correlation * correlation / energy; score > best {
				best, lag = score, l
			}
		}
	}
	return lag
}

package estimate

import "time"

// Probe is what to send beside the media: packets that have Bytes together, within
// Duration, at a steady pace. It may be padding (RFC 3550, section 5.1) in a
// retransmission stream, or old packets again there.
type Probe struct {
	Rate     uint64 // bit/s that are tried, with the media
	Bytes    int
	Duration time.Duration
}

const (
	probeLength = 100 * time.Millisecond
	probeFactor = 2   // of the estimate
	probeBeyond = 1.2 // of what is wanted
	// probeUsed is what part of the estimate the media must leave free, once it is known
	// where the path is full.
	probeUsed = 0.8
	// probeFirst is when the first probe may be, and probeNext the time to the next after
	// one that has found more; each that has not doubles it, up to probeLast.
	probeFirst = 300 * time.Millisecond
	probeNext  = 500 * time.Millisecond
	probeLast  = 30 * time.Second
	// probeCalm is for how long nothing must have been congested before a probe.
	probeCalm = 2 * time.Second
	// probeWait is how long its feedback may take.
	probeWait  = time.Second
	probeLeast = 5   // packets
	probeParts = 0.8 // of the packets that must arrive
	probeTrust = 0.95
)

// prober decides when to probe, and what a probe has found.
type prober struct {
	next    time.Duration // when the next one may be
	pause   time.Duration // after the last one
	running bool
	ends    time.Duration
	// The packets of it: from first up to last, which is known when it has ended.
	first, last int64
	ended       bool
	count       uint64
	// What is known of them.
	sent, got            int
	bytes, arrived       int // without the last sent, and without the first arrived
	firstSent, lastSent  time.Duration
	lastBytes            int
	firstCame, lastCame  time.Duration
	firstArrived, begins bool
}

// start begins a probe with the next packet.
func (p *prober) start(seq int64, now time.Duration) {
	count, pause := p.count+1, p.pause
	*p = prober{pause: pause, count: count, running: true, first: seq, ends: now + probeLength, begins: true}
}

// packetSent is called for each packet that is sent.
func (p *prober) packetSent(seq int64, bytes int, now time.Duration) {
	if !p.running || p.ended {
		return
	}
	if now >= p.ends {
		p.ended = true
		return
	}
	if p.begins {
		p.firstSent, p.begins = now, false
	}
	p.sent++
	p.last, p.lastSent, p.lastBytes = seq, now, bytes
	p.bytes += bytes
}

// packetArrived is called for each packet that has arrived, once, with its time at the
// receiver.
func (p *prober) packetArrived(seq int64, bytes int, came time.Duration) {
	if !p.running || seq < p.first || p.ended && seq > p.last {
		return
	}
	p.got++
	if !p.firstArrived {
		p.firstArrived, p.firstCame, p.lastCame = true, came, came
		return
	}
	p.arrived += bytes
	p.lastCame = max(p.lastCame, came)
}

// finish says what the probe has found, in bit/s, when it is over: 0 is nothing. covered
// is the newest packet that feedback has spoken of.
func (p *prober) finish(covered int64, now time.Duration) (found float64, over bool) {
	if !p.running {
		return 0, false
	}
	if now >= p.ends {
		p.ended = true
	}
	if !p.ended || covered < p.last && now < p.ends+probeWait {
		return 0, false
	}
	p.running = false
	sent, came := p.lastSent-p.firstSent, p.lastCame-p.firstCame
	if p.got < probeLeast || float64(p.got) < probeParts*float64(p.sent) || sent <= 0 || came <= 0 {
		return 0, true
	}
	out := float64(8*(p.bytes-p.lastBytes)) / sent.Seconds()
	in := float64(8*p.arrived) / came.Seconds()
	return min(out, probeTrust*in), true
}

// rest sets when the next probe may be.
func (p *prober) rest(better bool, now time.Duration) {
	if better {
		p.pause = probeNext
	} else {
		p.pause = min(2*max(p.pause, probeNext), probeLast)
	}
	p.next = now + p.pause
}

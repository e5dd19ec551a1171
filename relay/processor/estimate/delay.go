package estimate

import (
	"math"
	"time"
)

// usage is what the delay says of the path.
type usage uint8

const (
	usageNormal usage = iota
	usageOver         // a queue grows
	usageUnder        // a queue drains
)

// The delay-based controller's constants are the draft's (section 5) and, for the trend,
// libwebrtc's, which has it in the place of the draft's Kalman filter.
const (
	burst = 5 * time.Millisecond // packets sent within it are one group
	// stall is a gap after which groups are not compared.
	stall = 3 * time.Second

	trendLength    = 20  // groups
	trendSmoothing = 0.9 // of the accumulated delay
	trendGain      = 4
	trendMost      = 60 // groups that the trend is multiplied with

	thresholdFirst = 12.5 // ms
	thresholdLeast = 6
	thresholdMost  = 600
	thresholdUp    = 0.0087
	thresholdDown  = 0.039
	thresholdJump  = 15 // ms over it: of a spike nothing is learned
	overuseTime    = 10 * time.Millisecond
)

// group are packets that were sent together. Times are of the sender's and of the
// receiver's clock.
type group struct {
	some                    bool
	firstSent, sent, arrive time.Duration
}

// point is a group's arrival and how much later than the first it came, in ms.
type point struct{ at, delay float64 }

// delayDetector finds out from when packets were sent and when they arrived whether a queue
// grows on the path (sections 5.2 to 5.4).
type delayDetector struct {
	current, last group
	// The trend of the delay over the last groups.
	points   [trendLength]point
	count    int // of all groups
	begun    time.Duration
	sum      float64 // of the differences of delay, ms
	smoothed float64
	slope    float64

	threshold float64
	adapted   time.Duration
	over      time.Duration // for how long the trend has been over the threshold
	overs     int
	usage     usage
}

func newDelayDetector() delayDetector { return delayDetector{threshold: thresholdFirst} }

// add takes in a packet that has arrived, in the order of sending.
func (d *delayDetector) add(sent, arrive time.Duration) {
	c := &d.current
	switch {
	case !c.some:
		*c = group{true, sent, sent, arrive}
	case sent < c.firstSent:
		return // of a group that is complete
	case sent-c.firstSent <= burst:
		c.sent, c.arrive = max(c.sent, sent), max(c.arrive, arrive)
	default:
		if d.last.some {
			d.compare()
		}
		d.last = *c
		*c = group{true, sent, sent, arrive}
	}
}

// compare takes in how much more the current group was delayed than the last.
func (d *delayDetector) compare() {
	sent, arrived := d.current.sent-d.last.sent, d.current.arrive-d.last.arrive
	if sent > stall || arrived > stall || arrived < -stall {
		*d = delayDetector{threshold: d.threshold, current: d.current}
		return
	}
	if d.count == 0 {
		d.begun = d.current.arrive
	}
	d.sum += (arrived - sent).Seconds() * 1e3
	d.smoothed = trendSmoothing*d.smoothed + (1-trendSmoothing)*d.sum
	d.points[d.count%trendLength] = point{(d.current.arrive - d.begun).Seconds() * 1e3, d.smoothed}
	d.count++
	if d.count < trendLength {
		return
	}
	slope := d.fit()
	d.judge(slope, sent)
	d.slope = slope
}

// fit returns the slope of the line through the points (least squares).
func (d *delayDetector) fit() float64 {
	var at, delay float64
	for _, p := range d.points {
		at += p.at
		delay += p.delay
	}
	at, delay = at/trendLength, delay/trendLength
	var over, under float64
	for _, p := range d.points {
		over += (p.at - at) * (p.delay - delay)
		under += (p.at - at) * (p.at - at)
	}
	if under == 0 {
		return d.slope
	}
	return over / under
}

// judge compares the trend with the threshold (section 5.4).
func (d *delayDetector) judge(slope float64, sent time.Duration) {
	trend := slope * float64(min(d.count, trendMost)) * trendGain
	switch {
	case trend > d.threshold:
		if d.overs == 0 {
			d.over = sent / 2 // it began somewhere in between
		} else {
			d.over += sent
		}
		d.overs++
		if d.over > overuseTime && d.overs > 1 && slope >= d.slope {
			d.usage, d.over, d.overs = usageOver, 0, 0
		}
	case trend < -d.threshold:
		d.usage, d.over, d.overs = usageUnder, 0, 0
	default:
		d.usage, d.over, d.overs = usageNormal, 0, 0
	}
	d.adapt(math.Abs(trend))
}

// adapt lets the threshold follow the trend, slowly where that is larger, so that neither
// noise nor a competing TCP flow counts as overuse for ever (section 5.4).
func (d *delayDetector) adapt(trend float64) {
	now := d.current.arrive
	elapsed := min((now-d.adapted).Seconds()*1e3, 100)
	if d.adapted == 0 {
		elapsed = 0
	}
	d.adapted = now
	if trend > d.threshold+thresholdJump || elapsed < 0 {
		return
	}
	k := thresholdUp
	if trend < d.threshold {
		k = thresholdDown
	}
	d.threshold = min(max(d.threshold+k*(trend-d.threshold)*elapsed, thresholdLeast), thresholdMost)
}

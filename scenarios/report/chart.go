package report

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/callpath/callpath/scenarios/result"
)

// metric is one figure over time.
type metric struct {
	name, unit string
	value      func(result.Sample) float64
	// known says whether a sample holds the figure.
	known func(result.Sample) bool
	// low and high fix the scale; both zero fit it to the values, from zero.
	low, high float64
}

func always(result.Sample) bool { return true }

// metrics are the charts of a page, in order.
var metrics = []metric{
	{name: "Loss", unit: "%", value: func(s result.Sample) float64 { return s.Loss * 100 }, known: always},
	{name: "Round-trip time", unit: "ms", value: func(s result.Sample) float64 { return s.RTT.Milliseconds() }, known: func(s result.Sample) bool { return s.RTT > 0 }},
	{name: "Jitter", unit: "ms", value: func(s result.Sample) float64 { return s.Jitter.Milliseconds() }, known: always},
	{name: "Bitrate received", unit: "kbit/s", value: func(s result.Sample) float64 { return s.Bitrate / 1000 }, known: always},
	{name: "Voice quality, estimated MOS", value: func(s result.Sample) float64 { return s.MOS }, known: func(s result.Sample) bool { return s.MOS > 0 }, low: 1, high: 5},
}

// Measures of a chart.
const (
	chartWidth, chartHeight                       = 540.0, 210.0
	chartLeft, chartRight, chartTop, chartFooting = 52.0, 14.0, 36.0, 26.0
)

// chart is the plane on which a metric is drawn.
type chart struct {
	drawing
	metric
	from, to  time.Duration
	low, high float64
}

func (c *chart) x(t result.Duration) float64 {
	part := float64(time.Duration(t)-c.from) / float64(c.to-c.from)
	return chartLeft + part*(chartWidth-chartLeft-chartRight)
}

func (c *chart) y(v float64) float64 {
	part := (v - c.low) / (c.high - c.low)
	return chartHeight - chartFooting - part*(chartHeight-chartTop-chartFooting)
}

// charts draws every metric that was measured.
func charts(r *result.Run) []string {
	var all []string
	for _, m := range metrics {
		if s := draw(r, m); s != "" {
			all = append(all, s)
		}
	}
	return all
}

// draw makes one chart, with a line for each participant; nothing when there are no
// samples.
func draw(r *result.Run, m metric) string {
	c := &chart{metric: m, low: m.low, high: m.high}
	var words []string
	first := true
	for _, p := range r.Participants {
		sum, most, n := 0.0, math.Inf(-1), 0
		for _, s := range p.Series {
			if !m.known(s) {
				continue
			}
			if at := time.Duration(s.At); first || at < c.from {
				c.from = at
			}
			c.to = max(c.to, time.Duration(s.At))
			first = false
			sum, most, n = sum+m.value(s), max(most, m.value(s)), n+1
		}
		if n > 0 {
			words = append(words, fmt.Sprintf("%s: mean %s, most %s", p.Name, figure(sum/float64(n), m.unit), figure(most, m.unit)))
			if m.high == 0 {
				c.high = max(c.high, most)
			}
		}
	}
	if first {
		return ""
	}
	if c.to == c.from {
		c.from, c.to = c.from-time.Second, c.to+time.Second
	}
	if m.high == 0 {
		c.high = niceTop(c.high)
	}
	c.open(chartWidth, chartHeight, m.name, strings.Join(words, ". "))
	c.axes()
	c.events(r.Steps)
	for i, p := range r.Participants {
		c.line(i, p.Series)
	}
	return c.close()
}

// figure is a value with its unit, for people.
func figure(v float64, unit string) string {
	digits := 2
	switch {
	case v >= 100:
		digits = 0
	case v >= 10:
		digits = 1
	}
	return strings.TrimSuffix(fmt.Sprintf("%.*f %s", digits, v, unit), " ")
}

// niceTop is the end of a scale that holds v and falls into four round parts.
func niceTop(v float64) float64 {
	if v <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range []float64{1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10} {
		if v <= step*power*1.0001 {
			return step * power
		}
	}
	return 10 * power
}

// axes draws title, scale and grid.
func (c *chart) axes() {
	title := c.name
	if c.unit != "" {
		title += " (" + c.unit + ")"
	}
	c.write(chartLeft-42, 20, title, `font-size="13" font-weight="600" fill="`+inkColor+`"`)
	const parts = 4
	for i := range parts + 1 {
		v := c.low + (c.high-c.low)*float64(i)/parts
		c.add(`<path d="M%.1f %.1fH%.1f" stroke="%s" stroke-width="1"/>`, chartLeft, c.y(v), chartWidth-chartRight, "#e2e8f0")
		c.write(chartLeft-8, c.y(v)+4, tick(v, (c.high-c.low)/parts), `font-size="11" text-anchor="end" fill="`+faintColor+`"`)
	}
	step := timeStep(c.to - c.from)
	for t := c.from.Truncate(step); t <= c.to; t += step {
		if t < c.from {
			continue
		}
		x := c.x(result.Duration(t))
		c.add(`<path d="M%.1f %.1fv4" stroke="%s"/>`, x, chartHeight-chartFooting, faintColor)
		c.write(x, chartHeight-8, fmt.Sprintf("%g s", t.Seconds()), `font-size="11" text-anchor="middle" fill="`+faintColor+`"`)
	}
}

// tick is a value of the scale, as exact as its steps.
func tick(v, step float64) string {
	digits := 0
	for digits < 6 && math.Abs(step-math.Round(step)) > 1e-9 {
		step, digits = step*10, digits+1
	}
	return fmt.Sprintf("%.*f", digits, v)
}

// timeStep gives some five marks.
func timeStep(length time.Duration) time.Duration {
	for _, step := range []time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second} {
		if length/step <= 7 {
			return step
		}
	}
	return max(time.Minute, (length / 6).Truncate(time.Minute))
}

// events marks what the scenario did to the call, beside its documented steps.
func (c *chart) events(steps []result.Step) {
	last := math.Inf(-1)
	for _, s := range steps {
		if at := time.Duration(s.At); s.Number > 0 || at < c.from || at > c.to {
			continue
		}
		x := c.x(s.At)
		c.add(`<path d="M%.1f %.1fV%.1f" stroke="#d97706" stroke-dasharray="3 3"><title>%s</title></path>`, x, chartTop, chartHeight-chartFooting, escape(joinWords(stepPlace(s), s.Name, s.Carried)))
		if x-last > textWidth(s.Name, 10.5)+8 {
			c.write(min(x+4, chartWidth-textWidth(s.Name, 10.5)-4), chartTop+9, s.Name, `font-size="10.5" fill="#92400e"`)
			last = x
		}
	}
}

// line draws a participant's values; where one is missing the line is broken.
func (c *chart) line(i int, series []result.Sample) {
	var path strings.Builder
	move := true
	for _, s := range series {
		if !c.known(s) {
			move = true
			continue
		}
		command := "L"
		if move {
			command, move = "M", false
		}
		x, y := c.x(s.At), c.y(min(max(c.value(s), c.low), c.high))
		fmt.Fprintf(&path, "%s%.1f %.1f", command, x, y)
		c.add(`<circle cx="%.1f" cy="%.1f" r="2.6" fill="%s"/>`, x, y, personColor(i))
	}
	if path.Len() == 0 {
		return
	}
	c.add(`<path d="%s" fill="none" stroke="%s" stroke-width="2" stroke-linejoin="round" stroke-dasharray="%s"/>`, path.String(), personColor(i), personDashes[i%len(personDashes)])
}

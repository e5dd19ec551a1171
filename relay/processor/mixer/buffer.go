package mixer

import (
	"time"

	"github.com/callpath/callpath/relay/processor/codec"
)

// Samples inside of the mixer: one channel of 48 kHz.
const (
	rate  = 48000
	frame = rate * codec.Frame / 1000
)

const (
	// slots is how many packets a buffer holds, by the low bits of their numbers.
	slots = 64
	// largest is more than a packet of audio has on any path.
	largest = 1500
	// expands is how many frames are made up when nothing comes, before it is a pause.
	expands = 3
	// period is over how many frames the delay is watched before it is shortened.
	period = 50
	// soft is how loud a frame may be, at its loudest sample, to be left out unheard.
	soft = 300
	// loudExcess is from what excess on it is left out even if it is heard.
	loudExcess = 4 * Interval
)

// packet is one in a buffer.
type packet struct {
	used      bool
	seq       int64
	timestamp uint32
	in        *inlet // nil: nothing that is heard
	data      []byte
}

// inlet decodes one payload type of a leg.
type inlet struct {
	codec   codec.Codec
	decoder codec.Decoder // made with the first packet
	up      *codec.Resampler
	pcm     []int16 // in the codec's rate
}

// buffer is a jitter buffer, with what decodes in front of the mixer. It plays packets by
// their timestamps.
//
// It waits for delay before the first one of a stretch. When the next one has not come,
// but others behind it have, it is lost, and concealed; when nothing has come, frames are
// made up and the delay grows by them; when that lasts it is a pause, after which a new
// stretch begins. Sound that was kept waiting for longer than jitter asks for is left out,
// preferably where it is quiet.
type buffer struct {
	min, max time.Duration
	packets  [slots]packet
	inlets   map[uint8]*inlet
	current  *inlet // of the last packet that was decoded

	some    bool
	playing bool
	newest  int64 // the highest number that has come
	next    int64 // the number that is played next
	floor   int64 // what is below has been played, or given up
	oldest  time.Time
	waiting bool   // oldest is set: packets wait for a stretch to begin
	end     uint32 // the timestamp behind what is decoded
	length  int    // of the last packet, in samples
	made    int    // how many frames in a row were made up
	hushed  bool   // the last packet was one that is not heard

	// decoded is what has not been played yet: ready[:count].
	ready []int16
	count int

	jitter  float64 // seconds
	transit float64
	timed   bool
	least   time.Duration // the shortest that was buffered in this period
	watched int
	excess  time.Duration // by how much that was too long in the last one
	stats   LegStats
}

func newBuffer(cfg LegConfig, low, high time.Duration) buffer {
	b := buffer{min: low, max: high, inlets: make(map[uint8]*inlet, len(cfg.Receive))}
	for payloadType, c := range cfg.Receive {
		b.inlets[payloadType] = &inlet{codec: c}
	}
	b.ready = make([]int16, rate*codec.Longest/1000+2*frame)
	b.reset()
	return b
}

// reset forgets what has come.
func (b *buffer) reset() {
	for i := range b.packets {
		b.packets[i].used = false
	}
	b.some, b.playing, b.waiting, b.timed = false, false, false, false
	b.count, b.made, b.current = 0, 0, nil
	b.length = frame
}

// push takes in a packet.
func (b *buffer) push(payloadType uint8, seq uint16, timestamp uint32, payload []byte, now time.Time) {
	b.stats.Packets++
	in := b.inlets[payloadType]
	if len(payload) > largest {
		in = nil
	}
	switch {
	case in == nil:
		b.stats.Ignored++
	case b.current != nil && b.current.codec.ClockRate != in.codec.ClockRate:
		b.reset() // timestamps cannot be compared (RFC 7160)
	}
	number := b.unwrap(seq)
	if number-b.next >= slots || b.next-number >= 10*slots {
		b.reset() // far from all others: a new beginning
		number = b.unwrap(seq)
	}
	if number < b.floor {
		b.stats.Late++
		return
	}
	p := &b.packets[number&(slots-1)]
	if p.used && p.seq == number {
		b.stats.Repeats++
		return
	}
	b.next = min(b.next, number) // it was overtaken at the beginning
	b.newest = max(b.newest, number)
	if in == nil || len(payload) == 0 {
		in, payload = nil, nil
	} else {
		b.measure(timestamp, in.codec.ClockRate, now)
	}
	p.used, p.seq, p.timestamp, p.in = true, number, timestamp, in
	p.data = append(p.data[:0], payload...)
	if !b.playing && !b.waiting {
		b.waiting, b.oldest = true, now
	}
}

// unwrap returns a sequence number as one that does not wrap.
func (b *buffer) unwrap(seq uint16) int64 {
	if !b.some {
		b.some, b.floor = true, 0
		b.newest = int64(seq) + 1<<16
		b.next = b.newest
	}
	return b.newest + int64(int16(seq-uint16(b.newest)))
}

// measure estimates the jitter (RFC 3550, section 6.4.1).
func (b *buffer) measure(timestamp uint32, clock int, now time.Time) {
	transit := float64(now.UnixNano()%int64(time.Hour))/1e9 - float64(timestamp)/float64(clock)
	if b.timed {
		d := transit - b.transit
		if d < 0 {
			d = -d
		}
		if d < 1 { // or one of the two has wrapped, or stood still
			b.jitter += (d - b.jitter) / 16
		}
	}
	b.transit, b.timed = transit, true
}

// delay is for how long a stretch waits to begin.
func (b *buffer) delay() time.Duration {
	return min(max(b.min, Interval+time.Duration(3*b.jitter*float64(time.Second))), b.max)
}

// pull fills out, a frame, and says whether there is something in it to be heard.
func (b *buffer) pull(out []int16, now time.Time) (sounds bool) {
	b.watch()
	for b.count < len(out) {
		if !b.more(now) {
			clear(b.ready[b.count:len(out)])
			b.count = len(out)
		}
	}
	copy(out, b.ready[:len(out)])
	copy(b.ready, b.ready[len(out):b.count])
	b.count -= len(out)
	return !quieter(out, silence)
}

// more decodes, or makes up, what is played next. It returns false when that is silence.
func (b *buffer) more(now time.Time) bool {
	if !b.playing && !b.begin(now) {
		return false
	}
	p := &b.packets[b.next&(slots-1)]
	switch {
	case p.used && p.seq == b.next:
		b.play(p)
		return true
	case b.next <= b.newest:
		b.advance() // lost
		b.conceal()
		b.end += b.ticks(b.length)
		return true
	case b.hushed:
		// The next one goes on where the time is then.
		clear(b.ready[b.count : b.count+frame])
		b.count += frame
		b.end += b.ticks(frame)
		return true
	case b.made < expands && b.current != nil:
		b.made++
		b.conceal()
		return true
	}
	b.playing, b.waiting = false, false
	return false
}

// begin begins a stretch, when its first packet has waited for long enough.
func (b *buffer) begin(now time.Time) bool {
	if !b.waiting || now.Sub(b.oldest) < b.delay() {
		return false
	}
	for !b.packets[b.next&(slots-1)].used || b.packets[b.next&(slots-1)].seq != b.next {
		b.advance() // lost before the stretch began
	}
	b.playing, b.waiting = true, false
	b.end, b.made, b.hushed = b.packets[b.next&(slots-1)].timestamp, 0, false
	b.watched, b.least, b.excess = 0, time.Hour, 0
	return true
}

// advance goes on to the next number.
func (b *buffer) advance() {
	b.next++
	b.floor = b.next
}

// play decodes a packet, with silence in front of it where the sender was silent.
func (b *buffer) play(p *packet) {
	if p.in == nil {
		p.used, b.hushed = false, true
		b.advance()
		return
	}
	scale := rate / p.in.codec.ClockRate
	if pause := int(int32(p.timestamp-b.end)) * scale; pause > 0 {
		if pause > rate {
			// It does not follow from what was before: a new stretch.
			b.end = p.timestamp
			return
		}
		n := min(pause, frame)
		clear(b.ready[b.count : b.count+n])
		b.count += n
		b.end += uint32(n / scale)
		return
	}
	p.used = false
	b.advance()
	b.made, b.hushed = 0, false
	n, err := p.in.decode(b.ready[b.count:], p.data)
	if err != nil {
		b.stats.Malformed++
		if b.current != nil {
			b.conceal()
			b.end += b.ticks(b.length)
		}
		return
	}
	b.current, b.length = p.in, n
	b.count += n
	b.end = p.timestamp + b.ticks(n)
}

// ticks returns how much samples are on the current clock.
func (b *buffer) ticks(samples int) uint32 {
	if b.current == nil {
		return 0
	}
	return uint32(samples * b.current.codec.ClockRate / rate)
}

// conceal makes up as much as the last packet had.
func (b *buffer) conceal() {
	n := min(b.length, frame)
	if b.current == nil {
		clear(b.ready[b.count : b.count+n])
	} else {
		b.current.conceal(b.ready[b.count : b.count+n])
	}
	b.count += n
	b.stats.Concealed += uint64(n)
}

// buffered returns how long what has come can be played.
func (b *buffer) buffered() time.Duration {
	d := time.Duration(b.count) * time.Second / rate
	if b.next <= b.newest {
		d += time.Duration(b.newest-b.next+1) * time.Duration(b.length) * time.Second / rate
	}
	return d
}

// watch leaves something out when more has been buffered than is needed, all the time.
func (b *buffer) watch() {
	if !b.playing {
		return
	}
	b.least = min(b.least, b.buffered())
	if b.watched++; b.watched >= period {
		b.excess = b.least - b.delay()
		b.watched, b.least = 0, time.Hour
	}
	p := &b.packets[b.next&(slots-1)]
	if b.excess < Interval || b.count >= frame || !p.used || p.seq != b.next || p.in == nil {
		return
	}
	before := b.count
	b.play(p)
	left := b.count - before
	if b.excess < loudExcess && !quieter(b.ready[before:b.count], soft) {
		return // it is played
	}
	b.stats.LeftOut += uint64(left)
	b.count = before
	b.excess -= time.Duration(left) * time.Second / rate
}

// decode decodes to 48 kHz.
func (in *inlet) decode(out []int16, payload []byte) (int, error) {
	if in.decoder == nil {
		decoder, err := in.codec.NewDecoder()
		if err != nil {
			return 0, err
		}
		up, err := codec.NewResampler(in.codec.Rate, rate)
		if err != nil {
			return 0, err
		}
		in.decoder, in.up, in.pcm = decoder, up, make([]int16, in.codec.Rate*codec.Longest/1000)
	}
	n, err := in.decoder.Decode(in.pcm, payload)
	if err != nil {
		return 0, err
	}
	return in.up.Process(out, in.pcm[:n]), nil
}

// conceal makes up samples at 48 kHz.
func (in *inlet) conceal(out []int16) {
	pcm := in.pcm[:len(out)*in.codec.Rate/rate]
	in.decoder.Conceal(pcm)
	in.up.Process(out, pcm)
}

// quieter says whether no sample is louder than most.
func quieter(pcm []int16, most int16) bool {
	for _, s := range pcm {
		if s > most || s < -most {
			return false
		}
	}
	return true
}

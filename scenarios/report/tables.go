package report

import (
	"fmt"
	"strconv"

	"github.com/callpath/callpath/scenarios/result"
)

// quality lists what was received, and how well.
func quality(r *result.Run) *table {
	t := &table{caption: "Quality of what was received", head: []string{"", "stream", "packets", "intact", "loss", "jitter", "RTT", "bitrate", "MOS (est.)", "freezes"}}
	for _, one := range r.Participants {
		for _, s := range one.Streams {
			intact := text(fmt.Sprint(s.Intact))
			if s.Corrupt > 0 {
				intact = cell{fmt.Sprintf("%d, %d corrupt", s.Intact, s.Corrupt), red}
			}
			t.add(cell{one.Name, bold}, text(streamName(s)), text(packets(s)), intact,
				text(percent(s.LossRate)), text(duration(s.Jitter)), text(duration(s.RTT)), text(rate(s.Bitrate)), text(mos(s.MOS)), text(freezes(s)))
		}
	}
	return t
}

// streamName is a stream's codec and sender.
func streamName(s result.Stream) string {
	name := s.Codec + " from " + orNone(s.From)
	if s.Kind == "slides" {
		name += ", screen"
	}
	return name
}

// packets are those received, of those sent where one sender's make the stream.
func packets(s result.Stream) string {
	if s.Sent == 0 && s.Slot != "" {
		return fmt.Sprint(s.Received)
	}
	return fmt.Sprintf("%d of %d", s.Received, s.Sent)
}

// freezes are those of video; audio has none.
func freezes(s result.Stream) string {
	if s.Kind == "audio" {
		return "–"
	}
	return fmt.Sprint(s.Freezes)
}

// steps lists what happened, in order.
func steps(r *result.Run) *table {
	t := &table{caption: "Steps; numbers are those of the documented one-to-one call", head: []string{"", "at", "step", "who", "flow", "carried"}}
	for _, s := range r.Steps {
		number := ""
		if s.Number > 0 {
			number = strconv.Itoa(s.Number)
		}
		t.add(cell{number, bold}, text(s.At.String()), text(s.Name), text(stepPlace(s)), text(flowList(s.Flows)), text(s.Carried))
	}
	return t
}

package participant

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pion/rtp"

	"github.com/callpath/callpath/scenarios/media"
	"github.com/callpath/callpath/scenarios/result"
)

// Heard is what a participant has received intact in a conference.
type Heard struct {
	// Packets counts those of which it is certain who sent them.
	Packets map[media.Origin]uint64
	// Mixed counts the packets that a media processor had mixed.
	Mixed uint64
}

// Since is what came after before.
func (h Heard) Since(before Heard) Heard {
	since := Heard{Packets: map[media.Origin]uint64{}, Mixed: h.Mixed - before.Mixed}
	for o, n := range h.Packets {
		if n > before.Packets[o] {
			since.Packets[o] = n - before.Packets[o]
		}
	}
	return since
}

// Of lists those whose media of a kind came, sorted.
func (h Heard) Of(kind string) []string {
	var names []string
	for o, n := range h.Packets {
		if o.Kind == kind && n > 0 {
			names = append(names, o.Sender)
		}
	}
	slices.Sort(names)
	return names
}

// Text lists all.
func (h Heard) Text() string {
	var words []string
	for _, kind := range []string{media.Audio, media.Video, media.Slides} {
		if names := h.Of(kind); len(names) > 0 {
			words = append(words, kind+" of "+strings.Join(names, ", "))
		}
	}
	if h.Mixed > 0 {
		words = append(words, "mixed audio")
	}
	if len(words) == 0 {
		return "nothing"
	}
	return strings.Join(words, "; ")
}

// judge compares a packet with what was sent: by the other side, or in a conference
// by anybody but the participant itself.
func (r *reception) judge(f media.Format, p *rtp.Packet) (media.Verdict, []media.Origin) {
	if r.comparer != nil {
		return r.comparer.Compare(p), nil
	}
	if r.p.cfg.Spec.Mix && f.Kind == media.Audio {
		return media.Mixed, nil
	}
	origins := r.p.cfg.Ledger.Origins(f.Codec, p.Payload)
	origins = slices.DeleteFunc(origins, func(o media.Origin) bool { return o.Sender == r.p.cfg.User })
	if len(origins) == 0 {
		return media.Unknown, nil
	}
	return media.Intact, origins
}

// note counts a packet of which it is certain who sent it; it is true for the first
// of each. mu is held.
func (r *reception) note(s *stream, origins []media.Origin) (news bool) {
	if len(origins) != 1 {
		return false
	}
	o := origins[0]
	s.kind = o.Kind
	if !slices.Contains(s.from, o.Sender) {
		s.from = append(s.from, o.Sender)
	}
	r.heard[o]++
	// Who waits looks again now and then, for what comes after a break.
	return r.heard[o]%wakeEvery == 1
}

// wakeEvery is after how many packets of one sender those who wait look again.
const wakeEvery = 8

// soFar is a copy of what was received.
func (r *reception) soFar() Heard {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := Heard{Packets: map[media.Origin]uint64{}}
	for o, n := range r.heard {
		h.Packets[o] = n
	}
	for _, s := range r.streams {
		h.Mixed += s.mixed
	}
	return h
}

// others fills in who was heard and seen; mu is held.
func (r *reception) others(out *result.Participant) {
	h := Heard{Packets: r.heard}
	out.Hears, out.Sees, out.Slides = h.Of(media.Audio), h.Of(media.Video), h.Of(media.Slides)
}

// move has what another session of the participant receives count here too.
func (r *reception) move(to *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.s = to
}

// slotsOf finds the m-line of each SSRC of a description (RFC 5576).
func slotsOf(sdp string) map[uint32]string {
	slots := map[uint32]string{}
	mid := ""
	var ssrcs []uint32
	finish := func() {
		for _, ssrc := range ssrcs {
			slots[ssrc] = mid
		}
		mid, ssrcs = "", nil
	}
	for text := range strings.Lines(sdp) {
		text = strings.TrimRight(text, "\r\n")
		switch {
		case strings.HasPrefix(text, "m="):
			finish()
		case strings.HasPrefix(text, "a=mid:"):
			mid = strings.TrimPrefix(text, "a=mid:")
		case strings.HasPrefix(text, "a=ssrc:"):
			number, _, _ := strings.Cut(strings.TrimPrefix(text, "a=ssrc:"), " ")
			if ssrc, err := strconv.ParseUint(number, 10, 32); err == nil {
				ssrcs = append(ssrcs, uint32(ssrc))
			}
		}
	}
	finish()
	return slots
}

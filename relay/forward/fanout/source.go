package fanout

import (
	"encoding/binary"
	"slices"

	"github.com/callpath/callpath/relay/forward/srtp"
)

// Source is a peer that sends media.
type Source struct {
	opener *srtp.Opener
	batch  *Batch
	tracks map[uint32]*Track
	// busy are the tracks that have packets in the current round.
	busy  []*Track
	stats SourceStats
}

// SourceStats count what came from a peer.
type SourceStats struct {
	Opened  uint64
	Refused uint64 // not authentic, malformed, too old, or of too many streams
	Repeats uint64 // were here before
	Strays  uint64 // of no track
}

// NewSource makes a Source without tracks, whose packets go out with batch.
func NewSource(opener *srtp.Opener, batch *Batch) *Source {
	return &Source{opener: opener, batch: batch, tracks: make(map[uint32]*Track)}
}

// Track is one of a Source's streams, with those who receive it.
type Track struct {
	receivers []*Receiver
	// packets are what came in the current round.
	packets []packet
}

// packet is an opened packet, in the memory in which it came.
type packet struct {
	header, payload []byte
	seq             uint16
	timestamp       uint32
}

// Track returns the track of an SSRC. When there is none, it makes it.
func (s *Source) Track(ssrc uint32) *Track {
	t := s.tracks[ssrc]
	if t == nil {
		t = &Track{}
		s.tracks[ssrc] = t
	}
	return t
}

// Drop takes a track away. Its packets are strays then.
func (s *Source) Drop(ssrc uint32) { delete(s.tracks, ssrc) }

// Add gives the track to one more receiver. A Receiver is in one track at a time; when
// it moves to another, Timeline.Switch comes before its first packet of that.
func (t *Track) Add(r *Receiver) { t.receivers = append(t.receivers, r) }

// Remove takes a receiver away, and says whether it was there.
func (t *Track) Remove(r *Receiver) bool {
	i := slices.Index(t.receivers, r)
	if i < 0 {
		return false
	}
	t.receivers = slices.Delete(t.receivers, i, i+1)
	return true
}

// Stats returns what has come so far.
func (s *Source) Stats() SourceStats { return s.stats }

// Forward opens SRTP packets in place and puts them, for each receiver of their
// tracks, into the batch. Afterwards their memory is the caller's again.
func (s *Source) Forward(packets [][]byte) {
	for _, p := range packets {
		header, payload, err := s.opener.RTP(p)
		switch err {
		case nil:
			s.stats.Opened++
		case srtp.ErrReplayed:
			s.stats.Repeats++
			continue
		default:
			s.stats.Refused++
			continue
		}
		t := s.tracks[binary.BigEndian.Uint32(header[8:])]
		if t == nil {
			s.stats.Strays++
			continue
		}
		if len(t.packets) == 0 {
			s.busy = append(s.busy, t)
		}
		t.packets = append(t.packets, packet{
			header: header, payload: payload,
			seq:       binary.BigEndian.Uint16(header[2:]),
			timestamp: binary.BigEndian.Uint32(header[4:]),
		})
	}
	for _, t := range s.busy {
		for _, r := range t.receivers {
			for i := range t.packets {
				r.put(s.batch, &t.packets[i])
			}
		}
		t.packets = t.packets[:0]
	}
	s.busy = s.busy[:0]
}

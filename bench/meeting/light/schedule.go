package light

// event is something that a client has to do at a time.
type event struct {
	due    int64 // nanoseconds of Unix time
	kind   eventKind
	client *Client
}

type eventKind uint8

const (
	dueAudio   eventKind = iota // a packet of voice
	dueVideo                    // a picture
	dueControl                  // ICE and RTCP
	eventKinds
)

// schedule is a binary heap of events, the earliest first.
type schedule []event

func (s *schedule) push(e event) {
	*s = append(*s, e)
	h := *s
	for i := len(h) - 1; i > 0; {
		parent := (i - 1) / 2
		if h[parent].due <= h[i].due {
			return
		}
		h[parent], h[i] = h[i], h[parent]
		i = parent
	}
}

// replace puts an event in the place of the earliest, which costs less than to take that
// away and to add the other.
func (s schedule) replace(e event) {
	s[0] = e
	s.sink()
}

// pop takes the earliest away.
func (s *schedule) pop() {
	h := *s
	h[0] = h[len(h)-1]
	h[len(h)-1] = event{} // lets the client go
	*s = h[:len(h)-1]
	s.sink()
}

func (s schedule) sink() {
	for i := 0; ; {
		least := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < len(s) && s[child].due < s[least].due {
				least = child
			}
		}
		if least == i {
			return
		}
		s[i], s[least] = s[least], s[i]
		i = least
	}
}

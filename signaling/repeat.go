package signaling

import (
	"crypto/sha256"
	"net/http"
	"time"
)

// Headers of OASIS Repeatable Requests 1.0.
const (
	headerRequestID = "Repeatability-Request-ID"
	headerFirstSent = "Repeatability-First-Sent"
	headerResult    = "Repeatability-Result"
)

const (
	// repeatWindow is how long a request can be sent again.
	repeatWindow = 5 * time.Minute
	// maxRepeats bounds the responses that are kept for a user.
	maxRepeats   = 1024
	maxRequestID = 64
)

// repeats keeps a user's responses by request ID, so that a request that is sent
// again acts once and gets the first response. Controller.mu guards it, and is
// held from the lookup to the storing: no two requests with one ID can act.
type repeats struct {
	byID  map[string]*repeated
	order []*repeated // oldest first
}

type repeated struct {
	id          string
	fingerprint [sha256.Size]byte
	when        time.Time
	response    response
}

// fingerprint tells whether two requests are the same.
func fingerprint(r *http.Request, body []byte) [sha256.Size]byte {
	h := sha256.New()
	h.Write([]byte(r.Method + " " + r.URL.RequestURI() + "\n"))
	h.Write(body)
	return [sha256.Size]byte(h.Sum(nil))
}

// find returns the response to an earlier request with the same ID; it is a
// problem when that was another request.
func (s *repeats) find(id string, print [sha256.Size]byte) (response, *Problem, bool) {
	old := s.byID[id]
	switch {
	case id == "" || old == nil:
		return response{}, nil, false
	case old.fingerprint != print:
		return response{}, problem(CodeRequestIDReused,
			"%s %s was used for another request; each request needs a new one", headerRequestID, id), true
	}
	return old.response, nil, true
}

// store keeps a response. Refusals that a later attempt may not meet are not
// kept, so that the client may try again with the same ID.
func (s *repeats) store(id string, print [sha256.Size]byte, now time.Time, re response) {
	if id == "" || re.status == http.StatusTooManyRequests || re.status >= 500 {
		return
	}
	for len(s.order) > 0 && (len(s.order) >= maxRepeats || now.Sub(s.order[0].when) > repeatWindow) {
		delete(s.byID, s.order[0].id)
		s.order = s.order[1:]
	}
	if s.byID == nil {
		s.byID = map[string]*repeated{}
	}
	r := &repeated{id: id, fingerprint: print, when: now, response: re}
	s.byID[id] = r
	s.order = append(s.order, r)
}

// checkRepeatability checks the headers. Requests without an ID act each time.
func checkRepeatability(h http.Header, now time.Time) (id string, p *Problem) {
	id = h.Get(headerRequestID)
	first := h.Get(headerFirstSent)
	if len(id) > maxRequestID || !validRequestID(id) {
		return "", problem(CodeBadRequest, "%s must be 1 to %d letters, digits, - or _, for example a UUID", headerRequestID, maxRequestID)
	}
	if first == "" {
		return id, nil
	}
	sent, err := http.ParseTime(first)
	switch {
	case id == "":
		return "", problem(CodeBadRequest, "%s without %s", headerFirstSent, headerRequestID)
	case err != nil:
		return "", problem(CodeBadRequest, "%s must be a date as in RFC 9110, section 5.6.7", headerFirstSent)
	case now.Sub(sent) > repeatWindow:
		return "", problem(CodeRequestTooOld, "%s is more than %s ago; whether the request has acted is no longer known", headerFirstSent, repeatWindow)
	}
	return id, nil
}

func validRequestID(id string) bool {
	for _, b := range []byte(id) {
		letter := b|0x20 >= 'a' && b|0x20 <= 'z'
		if !letter && !(b >= '0' && b <= '9') && b != '-' && b != '_' {
			return false
		}
	}
	return true
}

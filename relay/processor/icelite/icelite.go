// Package icelite is the lite side of ICE (RFC 8445, section 2.5) as a function of
// datagrams: it reads Binding requests, says whether they are a peer's connectivity
// checks, and makes the answers. A lite agent has a public address, gathers nothing and
// begins no check; it is always the controlled one, and what it does is this.
//
// It has no sockets, timers or sessions. Which agent's password is right for a request
// is found by its owner, by Request.Local; what a check that is valid selects, and when
// consent has gone (RFC 7675: when none has come for 30 s), is decided there too.
//
// Messages are those of RFC 8489, read and made by github.com/pion/stun.
//
// Start reading at Request.Read, then Request.Check.
package icelite

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"

	"github.com/pion/stun/v4"
)

// Credentials are an agent's user name fragment and password (RFC 8445, section 5.3).
type Credentials struct{ Ufrag, Pwd string }

// NewCredentials makes credentials of 48 and 144 bits, more than the 24 and 128 that the
// RFC wants, so that the fragments of all conferences of a socket differ.
func NewCredentials(rand io.Reader) (Credentials, error) {
	var b [24]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return Credentials{}, fmt.Errorf("ICE credentials: %w", err)
	}
	// Base64's letters are those of ice-char (RFC 8839, section 5.4).
	text := base64.RawStdEncoding.EncodeToString(b[:])
	return Credentials{Ufrag: text[:8], Pwd: text[8:]}, nil
}

// Errors of Request.Read: the datagram gets no answer.
var (
	ErrNoRequest   = errors.New("icelite: not a Binding request")
	ErrFingerprint = errors.New("icelite: no FINGERPRINT, or not the message's")
	ErrUsername    = errors.New("icelite: no USERNAME of two fragments before MESSAGE-INTEGRITY")
)

// Request is a Binding request. It is used again for the next one, by one goroutine.
type Request struct {
	// Local is the fragment of the agent that is asked, Remote that of the peer. Before
	// Check they are anybody's words. They are in memory of the request.
	Local, Remote []byte
	// UseCandidate says that the peer nominates the pair (RFC 8445, section 8.1.1).
	UseCandidate bool

	in, out    stun.Message
	controlled bool
	unknown    stun.UnknownAttributes
}

// maxMessage is more than any check has: a user name has at most 513 bytes.
const maxMessage = 1500

const headerSize = 20

// Read reads a datagram, whose memory it does not keep. It looks at nothing behind
// MESSAGE-INTEGRITY but FINGERPRINT (RFC 8489, section 14.5): that is anybody's.
func (r *Request) Read(datagram []byte) error {
	if len(datagram) > maxMessage || !stun.IsMessage(datagram) ||
		len(datagram) != headerSize+int(binary.BigEndian.Uint16(datagram[2:])) {
		return ErrNoRequest
	}
	r.in.Raw = append(r.in.Raw[:0], datagram...)
	if err := r.in.Decode(); err != nil || r.in.Type != stun.BindingRequest {
		return ErrNoRequest
	}
	if stun.Fingerprint.Check(&r.in) != nil {
		return ErrFingerprint
	}
	r.UseCandidate, r.controlled, r.unknown = false, false, r.unknown[:0]
	var username []byte
	for _, a := range r.in.Attributes {
		if a.Type == stun.AttrMessageIntegrity {
			break
		}
		switch a.Type {
		case stun.AttrUsername:
			username = a.Value
		case stun.AttrUseCandidate:
			r.UseCandidate = true
		case stun.AttrICEControlled:
			r.controlled = true
		default:
			if a.Type.Required() && a.Type != stun.AttrPriority {
				r.unknown = append(r.unknown, a.Type)
			}
		}
	}
	at := strings.IndexByte(string(username), ':')
	if at <= 0 {
		return ErrUsername
	}
	r.Local, r.Remote = username[:at], username[at+1:]
	return nil
}

// Check says whether the request is the peer's, by the password of the agent that it
// asks. The code is 0 when it is, or that of the error to answer it with.
func (r *Request) Check(pwd string) stun.ErrorCode {
	switch {
	case !r.in.Contains(stun.AttrMessageIntegrity):
		return stun.CodeBadRequest // RFC 8489, section 9.1.3
	case stun.NewShortTermIntegrity(pwd).Check(&r.in) != nil:
		return stun.CodeUnauthorized
	case len(r.unknown) > 0:
		return stun.CodeUnknownAttribute
	case r.controlled:
		// RFC 8445, section 7.3.1.1. A lite agent cannot change its role, so that the
		// tie-breakers do not matter.
		return stun.CodeRoleConflict
	}
	return 0
}

// Success makes the answer to a request that came from there. It is good until the next
// answer.
func (r *Request) Success(from netip.AddrPort, pwd string) ([]byte, error) {
	mapped := stun.XORMappedAddress{IP: net.IP(from.Addr().Unmap().AsSlice()), Port: int(from.Port())}
	err := r.out.Build(stun.NewTransactionIDSetter(r.in.TransactionID), stun.BindingSuccess, mapped,
		stun.NewShortTermIntegrity(pwd), stun.Fingerprint)
	return r.out.Raw, err
}

// Failure makes the answer with an error code. It is authentic only where the request
// was. It is good until the next answer.
func (r *Request) Failure(code stun.ErrorCode, pwd string) ([]byte, error) {
	setters := []stun.Setter{stun.NewTransactionIDSetter(r.in.TransactionID), stun.BindingError, code}
	if code == stun.CodeUnknownAttribute {
		setters = append(setters, r.unknown)
	}
	if code != stun.CodeBadRequest && code != stun.CodeUnauthorized {
		setters = append(setters, stun.NewShortTermIntegrity(pwd))
	}
	err := r.out.Build(append(setters, stun.Fingerprint)...)
	return r.out.Raw, err
}

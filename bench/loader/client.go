package loader

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/pion/stun/v4"

	"github.com/callpath/callpath/bench/udp"
)

// channel is the number that every flow binds (RFC 8656, section 12): the flows are
// told apart by their 5-tuples.
const channel = 0x4000

// client is the TURN client of one flow, of the requests that a flow needs and no
// more. It uses its socket only before and after the load, never during it.
type client struct {
	socket             *udp.Socket
	username, password string

	realm stun.Realm
	nonce stun.Nonce
	key   stun.MessageIntegrity
}

// lifetime is what allocations are asked for, in seconds; channels live as long.
const lifetime = 600

// allocate makes an allocation and returns its relayed transport address.
func (c *client) allocate(ctx context.Context) (netip.AddrPort, error) {
	response, err := c.request(ctx, stun.MethodAllocate, requestedTransport{}, seconds(lifetime))
	if err != nil {
		return netip.AddrPort{}, err
	}
	var relayed stun.XORMappedAddress
	if err := relayed.GetFromAs(response, stun.AttrXORRelayedAddress); err != nil {
		return netip.AddrPort{}, fmt.Errorf("allocate: relayed address: %w", err)
	}
	at, _ := netip.AddrFromSlice(relayed.IP)
	return netip.AddrPortFrom(at.Unmap(), uint16(relayed.Port)), nil
}

// connect makes a permission for peer and a channel to it.
func (c *client) connect(ctx context.Context, peer netip.AddrPort) error {
	if _, err := c.request(ctx, stun.MethodCreatePermission, peerAddress(peer)); err != nil {
		return err
	}
	return c.bind(ctx, peer)
}

// bind makes the channel, or has it and its permission live on.
func (c *client) bind(ctx context.Context, peer netip.AddrPort) error {
	_, err := c.request(ctx, stun.MethodChannelBind, channelNumber{}, peerAddress(peer))
	return err
}

// refresh has the allocation and its channel live on.
func (c *client) refresh(ctx context.Context, peer netip.AddrPort) error {
	if _, err := c.request(ctx, stun.MethodRefresh, seconds(lifetime)); err != nil {
		return err
	}
	return c.bind(ctx, peer)
}

// request makes an authenticated request. The first of a client is refused with the
// realm and the nonce, a later one with a new nonce when that is stale (RFC 8489,
// section 9.2.5).
func (c *client) request(ctx context.Context, method stun.Method, attributes ...stun.Setter) (*stun.Message, error) {
	const challenges = 3
	for range challenges {
		setters := append([]stun.Setter{stun.TransactionID, stun.NewType(method, stun.ClassRequest)}, attributes...)
		if c.key != nil {
			setters = append(setters, stun.NewUsername(c.username), c.realm, c.nonce, c.key)
		}
		request, err := stun.Build(setters...)
		if err != nil {
			return nil, fmt.Errorf("%v: %w", method, err)
		}
		response, err := c.exchange(ctx, request)
		if err != nil {
			return nil, fmt.Errorf("%v: %w", method, err)
		}
		if response.Type.Class == stun.ClassSuccessResponse {
			return response, nil
		}
		var code stun.ErrorCodeAttribute
		if err := code.GetFrom(response); err != nil {
			return nil, fmt.Errorf("%v: error response without code: %w", method, err)
		}
		again := code.Code == stun.CodeStaleNonce || code.Code == stun.CodeUnauthorized && c.key == nil
		if !again {
			return nil, fmt.Errorf("%v refused: %d %s", method, code.Code, code.Reason)
		}
		if err := response.Parse(&c.realm, &c.nonce); err != nil {
			return nil, fmt.Errorf("%v: challenge: %w", method, err)
		}
		c.key = stun.NewLongTermIntegrity(c.username, c.realm.String(), c.password)
	}
	return nil, fmt.Errorf("%v: nonce stale %d times in a row", method, challenges)
}

// errSilent is the error of a server that answers nothing.
var errSilent = errors.New("no answer")

// The retransmissions of a request: after 250 ms, 500 ms, … (RFC 8489, section
// 6.2.1, begun shorter as the network is this machine's).
const firstWait, tries = 250 * time.Millisecond, 6

// exchange sends a request until it is answered.
func (c *client) exchange(ctx context.Context, request *stun.Message) (*stun.Message, error) {
	response := new(stun.Message)
	err := ask(ctx, c.socket, request.Raw, func(p []byte) bool {
		if !stun.IsMessage(p) {
			return false
		}
		_, err := response.Write(p)
		return err == nil && response.TransactionID == request.TransactionID
	})
	return response, err
}

// ask sends a packet on a connected socket, again and again, until a packet comes
// that is the answer.
func ask(ctx context.Context, s *udp.Socket, p []byte, isAnswer func([]byte) bool) error {
	buffer := make([]byte, 2048)
	for try := range tries {
		// A refusal (ICMP) is of a server that has not begun yet: it is asked again.
		if err := s.Send(p); err != nil && !udp.Refused(err) && !udp.Empty(err) {
			return err
		}
		until := time.Now().Add(firstWait << try)
		for left := firstWait << try; left > 0; left = time.Until(until) {
			if err := ctx.Err(); err != nil {
				return err
			}
			const look = 50 * time.Millisecond // how often ctx is looked at
			ready, err := s.Wait(int(min(left, look)/time.Millisecond) + 1)
			if err != nil {
				return err
			}
			if !ready {
				continue
			}
			if n, _, err := s.Receive(buffer); err == nil && isAnswer(buffer[:n]) {
				return nil
			}
		}
	}
	return errSilent
}

// requestedTransport is UDP (RFC 8656, section 18.7).
type requestedTransport struct{}

// AddTo implements stun.Setter.
func (requestedTransport) AddTo(m *stun.Message) error {
	m.Add(stun.AttrRequestedTransport, []byte{17, 0, 0, 0})
	return nil
}

// channelNumber is the attribute of section 18.1.
type channelNumber struct{}

// AddTo implements stun.Setter.
func (channelNumber) AddTo(m *stun.Message) error {
	m.Add(stun.AttrChannelNumber, []byte{channel >> 8, channel & 0xff, 0, 0})
	return nil
}

// seconds is the attribute LIFETIME of section 18.2.
type seconds uint16

// AddTo implements stun.Setter.
func (s seconds) AddTo(m *stun.Message) error {
	m.Add(stun.AttrLifetime, []byte{0, 0, byte(s >> 8), byte(s)})
	return nil
}

// peerAddress is the attribute XOR-PEER-ADDRESS of section 18.3.
type peerAddress netip.AddrPort

// AddTo implements stun.Setter.
func (p peerAddress) AddTo(m *stun.Message) error {
	at := netip.AddrPort(p)
	return stun.XORMappedAddress{IP: at.Addr().AsSlice(), Port: int(at.Port())}.AddToAs(m, stun.AttrXORPeerAddress)
}

package light

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/dtls/v3"

	"github.com/callpath/callpath/bench/meeting/filler"
	"github.com/callpath/callpath/bench/meeting/tally"
	"github.com/callpath/callpath/bench/udp"
	"github.com/callpath/callpath/relay/forward/srtp"
)

// clientState is how far a client is.
type clientState uint8

const (
	opened      clientState = iota // it has a socket and an offer
	connecting                     // ICE goes on
	handshaking                    // a path is selected; DTLS goes on
	connected                      // media flows
	over                           // closed, or it has failed
)

// clientEvent is what happens to a client.
type clientEvent uint8

const (
	wasAnswered clientEvent = iota // the answer to its offer is there
	wasSelected                    // ICE has selected a path
	wasKeyed                       // DTLS is complete
	wasEnded                       // it was closed, or something failed
)

// clientTable is the client's state machine: state × event → state.
var clientTable = [...][wasEnded + 1]clientState{
	//           answered    selected     keyed       ended
	opened:      {connecting, opened, opened, over},
	connecting:  {connecting, handshaking, connecting, over},
	handshaking: {handshaking, handshaking, connected, over},
	connected:   {connected, connected, connected, over},
	over:        {over, over, over, over},
}

// Client is one participant. Its methods may be called from any goroutine, Connect once.
type Client struct {
	engine *Engine
	number int32
	sender uint32
	media  Media
	local  netip.AddrPort
	socket *udp.Socket
	ice    credentials
	ssrc   sources
	offer  string

	// selected is closed when there is a path; failed when the client is over by itself.
	selected, failed chan struct{}
	// conn is written by Connect before it returns, and read by Close; running is what
	// reads it.
	conn    *dtls.Conn
	running sync.WaitGroup

	mu    sync.Mutex // guards what follows
	times tally.Times
	err   error // why it is over

	// What follows belongs to the engine's goroutine.
	state       clientState
	agent       agent
	association *association
	sealer      *srtp.Sealer
	opener      *srtp.Opener
	overhead    int
	publisher
	subscriber
}

// Open opens a client whose media packets bear a sender's number.
func (e *Engine) Open(ctx context.Context, sender uint32, m Media) (*Client, error) {
	ice, err := newCredentials(rand.Reader)
	if err != nil {
		return nil, err
	}
	var random [24]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, fmt.Errorf("light: %w", err)
	}
	number := func(i int) uint32 { return binary.BigEndian.Uint32(random[4*i:])&^3 | uint32(i%4) }
	s, err := udp.Open(netip.AddrPortFrom(e.cfg.Local, 0), udp.Options{Buffer: clientBuffer, Coalesce: true, Stamp: true})
	if err != nil {
		return nil, fmt.Errorf("light: %w", err)
	}
	c := &Client{
		engine: e, sender: sender, media: m, socket: s, local: s.Local(), ice: ice,
		ssrc:     sources{audio: number(0) | 1<<30, video: number(1) | 1<<30, rtx: number(2) | 1<<30},
		selected: make(chan struct{}), failed: make(chan struct{}),
	}
	c.agent = agent{local: ice, tieBreaker: binary.BigEndian.Uint64(random[12:])}
	c.offer = offer(m, ice, e.fingerprint, c.ssrc)
	c.publisher.begin(random[20:])
	// Not to be given up half-way: the engine would come to know a socket that is closed.
	entered := error(nil)
	if err := e.do(context.WithoutCancel(ctx), func() { entered = c.enter() }); err != nil || entered != nil {
		return nil, errors.Join(err, entered, s.Close())
	}
	return c, nil
}

// enter has the engine know the client.
func (c *Client) enter() error {
	e := c.engine
	e.nextID++
	c.number = e.nextID
	c.agent.chance = e.random.Float64
	if err := e.poller.Add(c.socket, c.number); err != nil {
		return err
	}
	e.clients[c.number] = c
	return nil
}

// Offer is the client's SDP.
func (c *Client) Offer() string { return c.offer }

// Times says how far the client is.
func (c *Client) Times() tally.Times {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.times
}

// Failed is closed when the client is over without having been closed; Err says why.
func (c *Client) Failed() <-chan struct{} { return c.failed }

// Err is why the client is over; nil while it is not, and after Close.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Connect takes the answer, and returns when media can flow.
func (c *Client) Connect(ctx context.Context, text string) error {
	a, err := parseAnswer(text)
	if err != nil {
		return fmt.Errorf("light: %w", err)
	}
	if err := c.engine.do(ctx, func() { c.take(a) }); err != nil {
		return err
	}
	select {
	case <-c.selected:
	case <-c.failed:
		return c.Err()
	case <-ctx.Done():
		return fmt.Errorf("light: no answer to connectivity checks: %w", context.Cause(ctx))
	}
	conn, keys, err := c.association.shake(ctx, c.engine.certificate, a.fingerprint)
	c.conn = conn
	if err != nil {
		return fmt.Errorf("light: %w", err)
	}
	c.running.Go(c.listen)
	return c.engine.do(ctx, func() { c.keyed(keys) })
}

// listen waits for the end of the association: no application data is expected.
func (c *Client) listen() {
	var b [mtu]byte
	for {
		if _, err := c.conn.Read(b[:]); err != nil {
			c.engine.post(func() { c.fail(fmt.Errorf("light: the peer has closed DTLS: %w", err)) })
			return
		}
	}
}

// Close ends the client, and tells the peer so.
func (c *Client) Close() error {
	c.engine.post(func() { c.on(wasEnded) })
	var err error
	if c.conn != nil {
		err = c.conn.Close()
	}
	if c.engine.do(context.Background(), func() { err = errors.Join(err, c.leave()) }) == nil {
		c.running.Wait()
		return err
	}
	c.running.Wait()
	return nil // the engine has closed the socket
}

// leave has the engine forget the client.
func (c *Client) leave() error {
	if c.engine.clients[c.number] != c {
		return nil
	}
	delete(c.engine.clients, c.number)
	return c.socket.Close()
}

// on makes a step of the state machine.
func (c *Client) on(e clientEvent) (changed bool) {
	next := clientTable[c.state][e]
	changed = next != c.state
	c.state = next
	return changed
}

// fail ends the client for a reason.
func (c *Client) fail(err error) {
	if !c.on(wasEnded) {
		return
	}
	c.mu.Lock()
	c.err = err
	c.mu.Unlock()
	close(c.failed)
}

// at notes when something happened first.
func (c *Client) at(when *time.Time, now int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if when.IsZero() {
		*when = time.Unix(0, now)
	}
}

// take takes the answer.
func (c *Client) take(a *answer) {
	if !c.on(wasAnswered) {
		return
	}
	now := time.Now()
	c.at(&c.times.Answered, now.UnixNano())
	c.agent.remote, c.agent.candidates, c.agent.due = a.remote, a.candidates, now
	c.subscriber.expect(a.slots)
	c.engine.due.push(event{due: now.UnixNano(), kind: dueControl, client: c})
}

// keyed takes the keys: media flows from here on.
func (c *Client) keyed(k keying) {
	if !c.on(wasKeyed) {
		return
	}
	now := time.Now().UnixNano()
	c.at(&c.times.Keyed, now)
	c.sealer, c.opener, c.overhead = k.send.Sealer(), k.receive.Opener(srtp.OpenerConfig{}), k.profile.Overhead()
	c.nextReport = now + int64(reportEvery)
	phase := func(period int64) int64 { return now + int64(c.engine.random.Float64()*float64(period)) }
	if c.media.Audio {
		c.engine.due.push(event{due: phase(int64(filler.VoiceEvery)), kind: dueAudio, client: c})
	}
	if c.media.Video {
		c.engine.due.push(event{due: phase(c.pictureEvery()), kind: dueVideo, client: c})
	}
}

// act does what is due, and returns when it is due again, 0 for never.
func (c *Client) act(e event) (again int64) {
	if c.state == over {
		return 0
	}
	switch e.kind {
	case dueControl:
		return c.control()
	case dueAudio:
		if c.engine.now-e.due < int64(abandon) {
			c.voice(e.due)
		} else {
			c.engine.tally.Unsent++
		}
		return e.due + int64(filler.VoiceEvery)
	default:
		if c.engine.now-e.due < int64(abandon) {
			c.picture(e.due)
		} else {
			c.engine.tally.Unsent += uint64(filler.Packets(c.pictureBytes(false)))
		}
		return e.due + c.pictureEvery()
	}
}

// control does what ICE and RTCP want to be done now, and returns when they want more.
func (c *Client) control() (again int64) {
	now := time.Unix(0, c.engine.now)
	datagram, err := c.agent.next(now)
	switch {
	case err != nil:
		c.fail(err)
		return 0
	case c.agent.state == dead && c.state == connecting:
		c.fail(fmt.Errorf("light: no candidate of %v answers connectivity checks", c.agent.candidates))
		return 0
	case c.agent.state == dead:
		c.fail(fmt.Errorf("light: consent has expired: no check was answered for %v (RFC 7675)", consentExpires))
		return 0
	case datagram != nil:
		c.send(datagram)
	}
	again = c.agent.due.UnixNano()
	if c.state != connected {
		return again
	}
	if c.engine.now >= c.nextReport {
		c.nextReport += int64(reportEvery)
		c.interval()
		c.report(now)
	}
	return min(again, c.nextReport)
}

// send sends a datagram that is no media.
func (c *Client) send(datagram []byte) {
	if c.agent.state == selected {
		_ = c.socket.Send(datagram) // as on any network, it may be lost
		return
	}
	to := udp.AddressOf(c.agent.to())
	_ = c.socket.SendTo(datagram, &to)
}

// receive takes one datagram to where it belongs (RFC 7983, section 7).
func (c *Client) receive(datagram []byte, from udp.Address, at int64) {
	if len(datagram) == 0 || c.state == over {
		return
	}
	switch first := datagram[0]; {
	case first < 4:
		c.checked(datagram, from)
	case first >= 20 && first < 64 && c.association != nil:
		c.association.put(datagram)
	case first >= 128 && first < 192 && len(datagram) >= 12 && c.opener != nil:
		if datagram[1] >= 192 && datagram[1] < 224 { // RFC 5761, section 4
			c.reported(datagram)
		} else {
			c.rtp(datagram, at)
		}
	}
}

// checked takes a STUN message.
func (c *Client) checked(datagram []byte, from udp.Address) {
	if c.state == opened || c.agent.answer(datagram, from.AddrPort(), time.Unix(0, c.engine.now)) != nil {
		c.engine.tally.Stray++
		return
	}
	if c.agent.state == selected && c.state == connecting {
		if err := c.socket.Connect(c.agent.to()); err != nil {
			c.fail(fmt.Errorf("light: %w", err))
			return
		}
		c.local = c.socket.Local()
		c.association = newAssociation(c, c.agent.to())
		c.at(&c.times.Selected, c.engine.now)
		c.on(wasSelected)
		close(c.selected)
	}
	c.control() // a nomination does not wait
}

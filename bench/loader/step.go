package loader

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/callpath/callpath/bench/account"
	"github.com/callpath/callpath/bench/load"
	"github.com/callpath/callpath/bench/udp"
)

// The times of a step's loop.
const (
	// begin is between the order and the first packet.
	begin = 2 * time.Millisecond
	// grace is how long the generator may send what was due earlier.
	grace = 50 * time.Millisecond
	// quiet without a packet ends the wait for those under way.
	quiet = 200 * time.Millisecond
	// longWait bounds every wait, so that an interruption is seen.
	longWait = 5 * time.Millisecond
	// turnEvents bounds what is sent before the sink is looked at.
	turnEvents = 128
)

// run is one step under way.
type run struct {
	*Loader
	schedule *load.Schedule
	// base is when the schedule began, in nanoseconds of Unix time.
	base    int64
	stopped atomic.Bool
	last    int64 // arrival of the last packet
	result  Result
}

// Step sends the load at a rate and measures.
func (l *Loader) Step(ctx context.Context, s Step) (Result, error) {
	if err := l.refresh(ctx); err != nil {
		return Result{}, fmt.Errorf("refresh allocations: %w", err)
	}
	at := l.cfg.Load.At(s.Rate)
	if err := at.Check(); err != nil {
		return Result{}, err
	}
	r := &run{Loader: l, schedule: load.NewSchedule(at, l.cfg.Seed), result: Result{
		Rate: s.Rate, Duration: s.Duration, Latency: NewHistogram(), Pacing: NewHistogram(),
	}}
	defer context.AfterFunc(ctx, func() { r.stopped.Store(true) })()
	// No collection of garbage in a step, of which the loop makes none.
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := udp.Precise(); err != nil {
		return Result{}, err
	}
	if err := r.measure(s); err != nil {
		return Result{}, err
	}
	return r.result, ctx.Err()
}

func (r *run) measure(s Step) error {
	r.base = time.Now().Add(begin).UnixNano()
	r.nextPhase()
	if _, err := r.sendUntil(s.WarmUp); err != nil {
		return err
	}
	// Warm-up packets that are still under way belong to an earlier phase and count
	// nowhere.
	r.nextPhase()
	from, err := account.Take(r.processes()...)
	if err != nil {
		return err
	}
	r.result.Latency, r.result.Pacing = NewHistogram(), NewHistogram()
	r.result.Received, r.result.Reordered, r.result.Stray = 0, 0, 0
	dropped := r.dropped()
	unsent, err := r.sendUntil(s.WarmUp + s.Duration)
	if err != nil {
		return err
	}
	r.result.Unsent = unsent
	for i := range r.sources {
		r.result.Sent += uint64(r.sources[i].sent)
	}
	r.result.Sent -= min(r.result.Sent, unsent)
	if err := r.drain(); err != nil {
		return err
	}
	to, err := account.Take(r.processes()...)
	if err != nil {
		return err
	}
	r.result.Spent = to.Since(from)
	r.result.SinkDropped = r.dropped() - dropped
	r.result.Resident = r.resident()
	return nil
}

// nextPhase begins to count anew.
func (r *run) nextPhase() {
	r.phase++
	for i := range r.sources {
		r.sources[i].sent, r.sources[i].next = 0, 0
	}
}

// dropped is how many packets the sink's sockets have dropped.
func (r *run) dropped() (sum uint64) {
	for _, p := range r.peers {
		sum += p.socket.Dropped()
	}
	for _, f := range r.flows {
		sum += f.socket.Dropped()
	}
	return sum
}

// sendUntil sends what is due before the time end of the schedule, and returns how
// many packets of that were not sent.
func (r *run) sendUntil(end time.Duration) (unsent uint64, err error) {
	limit := r.base + int64(end+grace)
	for !r.stopped.Load() {
		now := time.Now().UnixNano()
		for n := 0; n < turnEvents; n++ {
			e := r.schedule.Peek()
			due := r.base + int64(e.At)
			if e.At >= end || due > now {
				break
			}
			r.schedule.Next()
			r.result.Pacing.Add(now - due)
			unsent += uint64(r.send(e.Source, due))
			now = time.Now().UnixNano()
		}
		for _, p := range r.peers {
			unsent += uint64(p.flush())
		}
		e := r.schedule.Peek()
		if e.At >= end || now > limit {
			break
		}
		if _, err := r.receive(time.Duration(r.base + int64(e.At) - time.Now().UnixNano())); err != nil {
			return 0, err
		}
	}
	// What is left was due and has not been sent: it is passed over.
	for e := r.schedule.Peek(); e.At < end; e = r.schedule.Peek() {
		s := &r.sources[e.Source]
		s.sent += uint32(s.Run)
		unsent += uint64(s.Run)
		r.schedule.Next()
	}
	return unsent, nil
}

// drain receives until everything has arrived or nothing does any more.
func (r *run) drain() error {
	r.last = time.Now().UnixNano()
	for !r.stopped.Load() && r.result.Received < r.result.Sent {
		if _, err := r.receive(longWait); err != nil {
			return err
		}
		if time.Duration(time.Now().UnixNano()-r.last) > quiet {
			return nil
		}
	}
	return nil
}

// receive waits for packets up to a time, and takes those that have arrived.
func (r *run) receive(wait time.Duration) (messages int, err error) {
	ready, err := r.poller.Wait(min(max(wait, 0), longWait))
	if err != nil {
		return 0, err
	}
	for i := range ready {
		number := int(r.poller.Ready(i))
		fromPeer := number < len(r.peers)
		var socket *udp.Socket
		if fromPeer {
			socket = r.peers[number].socket
		} else {
			socket = r.flows[number-len(r.peers)].socket
		}
		n, err := r.inbox.Receive(socket)
		if err != nil {
			continue // nothing there, or told that an earlier packet was refused
		}
		now := time.Now().UnixNano()
		for i := range n {
			m := r.inbox.Message(i)
			if m.At == 0 {
				m.At = now
			}
			// A peer receives what the client sent without its header; without a
			// relay, with it.
			r.take(m, !fromPeer || r.cfg.Scheme == Direct)
		}
		messages += n
	}
	return messages, nil
}

// take counts the packets of a message.
func (r *run) take(m udp.Message, framed bool) {
	size := m.Segment
	if size == 0 {
		size = len(m.Data)
	}
	for data := m.Data; len(data) > 0; {
		n := min(size, len(data))
		r.count(data[:n], m.At, framed)
		data = data[n:]
	}
}

// count counts one packet.
func (r *run) count(p []byte, at int64, framed bool) {
	if framed {
		if len(p) < framing || binary.BigEndian.Uint16(p) != channel {
			r.result.Stray++
			return
		}
		// Over UDP a relay may pad (RFC 8656, section 12.5).
		if size := int(binary.BigEndian.Uint16(p[2:])); size <= len(p)-framing {
			p = p[framing : framing+size]
		}
	}
	stamp, ok := load.ReadStamp(p)
	if !ok || stamp.Session != r.session || int(stamp.Source) >= len(r.sources) {
		r.result.Stray++
		return
	}
	r.last = at
	if stamp.Phase != r.phase {
		return
	}
	s := &r.sources[stamp.Source]
	if len(p) != s.Payload {
		r.result.Stray++
		return
	}
	if stamp.Sequence < s.next {
		r.result.Reordered++
	} else {
		s.next = stamp.Sequence + 1
	}
	r.result.Received++
	r.result.Latency.Add(at - stamp.Due)
}

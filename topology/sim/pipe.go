package sim

import (
	"sync/atomic"
	"time"

	"github.com/callpath/callpath/topology"
	"github.com/callpath/callpath/topology/sim/link"
	"github.com/callpath/callpath/topology/sim/packet"
)

// task is a packet that waits for its time, and what happens to it then. The
// frame is nil for what a timer does.
type task struct {
	run func(*frame)
	f   *frame
}

// pipe is one direction of a link between two places.
type pipe struct {
	net   *Internet
	link  *link.Link
	sched *link.Schedule[task]
	where topology.Hop // the place that sends into it
	out   func(*frame) // the place at the other end
	// flying counts the packets on the schedule. As long as there are any, others
	// go there too, even those that come out at once: a schedule may be late, and
	// they must not overtake.
	flying atomic.Int64
}

// newPipe makes a pipe; name seeds it, so that a link's chances do not depend on
// how many others there are.
func (i *Internet) newPipe(name string, l topology.Link, where topology.Hop, out func(*frame)) *pipe {
	i.pipes++
	return &pipe{
		net:   i,
		link:  link.New(l, i.seed(name)),
		sched: i.schedules[i.pipes%len(i.schedules)],
		where: where,
		out:   out,
	}
}

// send puts a packet that fits the MTU on the link. Over a perfect link it arrives
// before send returns.
func (p *pipe) send(f *frame) {
	now := p.net.now()
	at, fate := p.link.Pass(now, f.p.Len())
	switch {
	case fate != link.Passed:
		p.net.drop(f, p.where, fate.String(), "")
	case at.After(now) || p.flying.Load() > 0:
		f.queued = true
		p.flying.Add(1)
		p.sched.Add(at, task{p.arrive, f})
	default:
		p.out(f)
	}
}

// arrive is the end of a packet's flight.
func (p *pipe) arrive(f *frame) {
	p.out(f)
	p.flying.Add(-1)
}

// later runs a packet's next step on a schedule's goroutine, away from the stack
// that sent it.
func (i *Internet) later(f *frame, run func(*frame)) {
	f.queued = true
	i.schedules[0].Add(i.now(), task{run, f})
}

// after runs a function once a time has passed.
func (i *Internet) after(d time.Duration, run func()) {
	i.schedules[0].Add(i.now().Add(d), task{run: func(*frame) { run() }})
}

// tooBig says whether a packet neither fits an MTU nor may be split to fit it.
func tooBig(f *frame, mtu int) bool {
	return f.p.Len() > mtu && f.p.DontFragment() && (f.split == 0 || f.split > mtu)
}

// transmit sends a packet that is not tooBig, in fragments if need be.
func (p *pipe) transmit(f *frame) {
	mtu := p.link.MTU()
	if f.split > 0 {
		mtu = min(mtu, f.split)
	}
	if f.p.Len() <= mtu {
		p.send(f)
		return
	}
	parts, err := packet.Split(f.p, mtu, f.id)
	if err != nil {
		p.net.drop(f, p.where, err.Error(), "")
		return
	}
	for _, data := range parts {
		part, err := packet.Parse(data)
		if err != nil { // Split makes nothing that Parse refuses
			p.net.log.Error("fragment is malformed", "where", p.where.Name, "error", err)
			continue
		}
		p.send(f.piece(part))
	}
	f.free()
}

package runner

import (
	"github.com/callpath/callpath/relay/negotiation"
	"github.com/callpath/callpath/scenarios/result"
	"github.com/callpath/callpath/signaling"
	"github.com/callpath/callpath/signaling/callstate"
	"github.com/callpath/callpath/topology/sim"
	"github.com/callpath/callpath/topology/sim/capture"
)

// observers hands what the network tells to those who want it. Its fields do not
// change once the network runs.
type observers struct {
	traffic   *traffic
	capture   *capture.Writer // nil: none
	recorders map[string]*negotiation.Recorder
}

// Captured implements sim.Observer.
func (o *observers) Captured(c sim.Capture) {
	if recorder := o.recorders[c.Host]; recorder != nil {
		recorder.Packet(c.Time, c.Outbound, c.Packet)
	}
	if o.capture != nil {
		// A full disk shows when the capture is closed.
		_ = o.capture.Captured(c.Time, c.Host, c.Interface, c.Outbound, c.Packet)
	}
}

// Delivered implements sim.Observer.
func (o *observers) Delivered(d sim.Delivery) { o.traffic.delivered(d) }

// Dropped implements sim.Observer.
func (o *observers) Dropped(sim.Drop) {}

// signaled turns the controller's events into the documented steps. It must not
// call the controller.
func (r *run) signaled(e signaling.Event) {
	if e.Kind == signaling.EventMeeting {
		// Of those who are told, none may ask the controller anything.
		for _, name := range r.book.happened(e) {
			r.participants[name].Alone()
		}
		return
	}
	step := result.Step{At: result.Duration(e.Time.Sub(r.started)), Carried: e.Carried}
	switch {
	case e.Kind == signaling.EventRequest && e.Request == callstate.Invite:
		step.Name, step.From, step.To = result.StepInvite, e.User, serviceSignaling
		r.mu.Lock()
		r.call.invited = e.Time
		r.mu.Unlock()
	case e.Kind == signaling.EventDelivered && e.Notification == signaling.NotifyInvite:
		step.Name, step.From, step.To = result.StepNotify, serviceSignaling, e.User
	case e.Kind == signaling.EventRequest && e.Request == callstate.Answer:
		step.Name, step.From, step.To = result.StepAnswer, e.User, e.Peer
	default:
		return
	}
	r.stepped(step)
}

// serviceSignaling is the controller, as steps name it.
const serviceSignaling = "signaling"

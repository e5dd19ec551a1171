// Package estimate finds out how much a path can carry, for a media processor: towards a
// receiver from what it reports (Sender), and for publishers by reporting to them
// (Recorder).
//
// A Sender numbers every packet that goes to one receiver, whatever its stream
// (draft-holmer-rmcat-transport-wide-cc-extensions-01), and learns from the feedback when
// each has arrived. From that it makes an estimate as Google Congestion Control does
// (draft-ietf-rmcat-gcc-02): a controller of delay, which sees a queue grow before it
// loses packets, and one of loss. Receivers that know only REMB
// (draft-alvestrand-rmcat-remb-03) and receiver reports bound it by those.
//
// pion/interceptor/pkg/gcc has the same controllers, but as an interceptor: with
// goroutines, its own clock (time.Now) and a pacer for each stream. What is here is a
// value that its owner calls. For feedback to publishers pion/interceptor/pkg/twcc's
// recorder is used, which is that.
//
// # Growing: the rule for probes
//
// What was never sent cannot be measured: while a receiver gets a low layer only, its
// estimate ends at 1.5 times of what it is sent. When more could be used (Sender.Want)
// and the path is not congested, Sender.Probe says at which rate and how much more to
// send for a moment: padding, or, better, packets again in the retransmission stream. If
// they come in time, the estimate goes up to what was delivered.
//
// All of it belongs to one goroutine, which hands in the time. Sender.Next, called for
// each packet, allocates nothing.
//
// Start reading at Sender.Feedback, then delay.go and loss.go.
package estimate

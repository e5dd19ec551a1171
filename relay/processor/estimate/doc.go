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
// estimate ends at 1.5 times of what it is sent. So Sender.Probe says when to send more for
// a moment, and how much: padding, or, better, packets again in the retransmission stream.
// A probe is begun when more could be used (Sender.Want) than the estimate has, when
// nothing was congested or lost for two seconds, and, once it is known where the path is
// full, when the media leave a fifth of the estimate unused. It tries twice the estimate,
// for 100 ms. If four fifths of its packets come, the estimate is what was delivered, less
// 5 %, if that is more. The next probe comes after half a second when it was, and otherwise
// after twice the pause before, up to 30 seconds.
//
// All of it belongs to one goroutine, which hands in the time. Sender.Next, called for
// each packet, allocates nothing.
//
// Start reading at Sender.Feedback, then delay.go, rate.go, loss.go and probe.go.
package estimate

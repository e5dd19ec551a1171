// Package reception is what can be known of an RTP stream by whoever receives it: loss,
// jitter and round-trip time as RFC 3550 defines them, and for voice what they mean for
// people, a mean opinion score by the E-model of ITU-T G.107. It has no goroutines and
// reads no clock: times are handed in, so the same packets give the same figures.
//
// What it is not: a measurement of quality. Nobody listened; the score is an estimate
// from delay and loss, always printed with what it was made from. There is none for
// video, for which no model takes these inputs alone. Nor does it keep series: who
// measures gives each interval its own loss. The cumulative loss of RTCP, put into the
// E-model, keeps a call bad for the rest of its life after one gap.
//
// Start reading at Sequence and Jitter; then Voice, then Parameters.
package reception

// Package quality turns measured figures into what they mean for people: loss,
// jitter and round-trip time as RFC 3550 defines them, frozen video as W3C
// webrtc-stats does, and for voice a mean opinion score by the E-model of ITU-T
// G.107. It has no goroutines and reads no clock: times are handed in, so the same
// packets give the same figures.
//
// What it is not: a measurement of quality. Nobody listened; the score is an
// estimate from delay and loss, always printed with what it was made from. There is
// none for video, for which no model takes these inputs alone.
//
// Loss counts in the interval in which it happened. The cumulative loss of RTCP,
// put into the E-model, keeps a call bad for the rest of its life after one gap.
//
// Start reading at Sampler, which has one received stream's figures; then Voice,
// then Parameters.
package quality

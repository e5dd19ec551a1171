// Package quality keeps the figures of a received stream, for each interval and for the
// whole: loss, jitter, round-trip time and the estimated score of voice, which package
// relay/reception makes, and frozen video as W3C webrtc-stats defines it. It has no
// goroutines and reads no clock: times are handed in, so the same packets give the same
// figures.
//
// Loss counts in the interval in which it happened.
//
// Start reading at Sampler.
package quality

// Package mixer is the audio half of a multipoint control unit (RFC 7667, section 3.4):
// it decodes what the participants of one conference send, adds it up, and encodes for
// each participant the sum without its own voice.
//
// A Leg is one participant's two directions of audio. What it sends goes through a jitter
// buffer, which puts packets in order by their timestamps, waits as long as the network's
// jitter asks for, and conceals what does not come. All legs are resampled to 48 kHz and
// mixed in frames of 20 ms. The sum is made once, and each speaker's own part is
// subtracted from it. Those who do not speak share one mix, and each of their codecs
// encodes it once.
//
// A Mixer has no goroutine and no clock: its owner calls Tick with the time, and sends
// the frames that it returns. Nothing is allocated for a packet or a frame.
//
// Codecs are those of package codec. Not here: telephone-events and comfort noise (RFC
// 4733, RFC 3389), which are not heard; stereo, which is made mono; RTP and SRTP.
//
// Start reading at Leg.Push and Mixer.Tick, then buffer.go.
package mixer

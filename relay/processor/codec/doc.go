// Package codec has the audio codecs in which a media processor mixes: PCMU and PCMA
// (ITU-T G.711), G722 (ITU-T G.722, 64 kbit/s) and opus (RFC 6716, RFC 7587), and the
// resampling between their rates.
//
// G.711 is github.com/zaf/g711. Opus is github.com/thesyncim/gopus, in Go without cgo,
// which decodes and encodes (github.com/pion/opus v0.1.0 exports its decoder only; the
// tests use that as a second opinion). G.722 is implemented here from the Recommendation,
// since no library of it is to be had; it encodes and decodes bit by bit as ffmpeg does.
//
// A Decoder or Encoder has the state of one stream, and one goroutine at a time uses it.
// Payloads come from the network: a decoder answers everything that is malformed with an
// error. Nothing is allocated for a frame, but where a packet of Opus is missing.
//
// What it costs for 20 ms, on one busy core of an AMD EPYC:
//
//	go test -run '^$' -bench . ./relay/processor/codec
//
// PCMU and PCMA less than 2 us each way, G722 33 us each way, Opus 170 us to encode and 61
// us to decode; a change of rate 15 to 45 us.
//
// Start reading at Find.
package codec

// Package codec has the audio codecs in which a media processor mixes: PCMU and PCMA
// (ITU-T G.711), G722 (ITU-T G.722, 64 kbit/s) and opus (RFC 6716, RFC 7587), and the
// resampling between their rates.
//
// G.711 is github.com/zaf/g711, made into tables; Opus is github.com/thesyncim/gopus, in
// Go without cgo, which decodes and encodes (github.com/pion/opus v0.1.0 exports its
// decoder only; the tests use it as a second opinion). G.722 is implemented here, since
// no library of it is to be had.
//
// A Decoder or Encoder has the state of one stream, and one goroutine at a time uses it.
// Payloads come from the network: a decoder answers everything that is malformed with an
// error. Nothing is allocated for a frame.
//
// Start reading at Find.
package codec

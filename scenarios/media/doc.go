// Package media is the encoded media that participants send, and the proof that
// it arrived unchanged.
//
// A Source yields frames of real Opus, VP8 and H.264 from small files (assets),
// and of G.711 µ-law that is computed, each with its duration. A Packetizer makes
// RTP packets of them (RFC 7587, RFC 7741, RFC 6184, RFC 3551). A Ledger, which
// all participants of a run share, keeps what was sent by SSRC and sequence
// number; a Comparer holds what arrived against it, so that a changed or
// misdirected byte is found. The ledger also finds sent media in bytes that should
// be ciphertext.
//
// It encodes and decodes no pictures or sound, apart from G.711, and paces
// nothing: when a frame is sent is its sender's affair.
//
// Start reading at Source and Ledger.
package media

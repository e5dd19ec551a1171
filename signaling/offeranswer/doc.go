// Package offeranswer checks session descriptions before they are forwarded:
// SDP (RFC 8866) as JSEP writes it (RFC 8829, section 5; RFC 9429), with media
// over DTLS-SRTP only (RFC 5763, RFC 5764, RFC 8842), ICE (RFC 8839) and BUNDLE
// (RFC 8843), and the pairing of answer to offer of RFC 3264. Plain RTP and SDES
// keys (RFC 4568) are refused.
//
// It negotiates nothing and rewrites nothing: what passes is forwarded as it is.
//
// Start reading at Parse and CheckAnswer.
package offeranswer

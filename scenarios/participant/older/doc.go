// Package older is the endpoint of an older client: DTLS by pion/dtls/v2, which
// offers CBC suites only, over pion/ice/v4, with SRTP by pion/srtp/v3. It shows
// that current stacks still negotiate with old ones. It is never to be on a path
// that carries user data: dtls/v2 is no longer maintained.
//
// It speaks as much of JSEP (RFC 8829) as a call of one audio and one video stream
// needs: BUNDLE with RTCP multiplexed, trickle ICE, DTLS-SRTP.
//
// Start reading at New. description.go is the SDP, transport.go what runs over ICE,
// stream.go the media.
package older

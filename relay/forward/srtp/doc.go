// Package srtp opens and seals the packets of one peer: SRTP and SRTCP (RFC 3711) with
// the profiles AES_CM_128_HMAC_SHA1_80, AEAD_AES_128_GCM and AEAD_AES_256_GCM (RFC
// 7714). It is for media processors, which do this for each packet that they pass on:
// everything happens in the packet's own memory, nothing is allocated, and no lock is
// taken.
//
// It does no key exchange. NewKeys takes the master key and salt of one direction, as
// DTLS-SRTP exports them (RFC 5764 section 4.2), and derives the session keys. These
// are shared by all goroutines that send to the peer; what changes with each packet
// (rollover counters, windows, scratch memory) is in a Sealer or an Opener, which one
// goroutine at a time uses. Keys see to it that no two Sealers seal the same SSRC,
// since they would use the same nonces.
//
// Not here, and not to be negotiated: master key identifiers (MKI), key derivation
// rates, other tag lengths, encrypted header extensions (RFC 6904, RFC 9335),
// unencrypted SRTP. SRTCP that is authenticated but not encrypted is opened when
// OpenerConfig says so, and never made. When a key is exhausted, after 2^48 packets of
// a stream or 2^31 reports, packets are refused; new keys are a new Sealer and Opener.
//
// A Sealer is stricter than the RFC: it seals each sequence number once. Who answers a
// retransmission request repeats the sealed packet, or seals it anew in a
// retransmission stream (RFC 4588), which has its own SSRC and numbers.
//
// Start reading at Opener.RTP, then stream.index and window (the state), gcm and cm
// (the cryptography), counter (AES-CM without allocation).
//
// # What it costs
//
// The benchmarks compare with crypto/cipher and crypto/hmac used directly ("bare"), and
// with github.com/pion/srtp/v3:
//
//	go test -run '^$' -bench '(Seal|Open)/profile/size/compared' -benchtime 1s ./relay/forward/srtp
//
// They take turns packet by packet, 64 at a time, and medians are compared, so that the
// ratios hold on a busy machine too. On two cores of an AMD EPYC (Zen 4), Go 1.26, time
// for a packet against bare, for 160 and 1200 bytes of payload:
//
//	                              here          pion
//	AEAD_AES_128_GCM       seal   1.04  1.02    1.51  1.19
//	                       open   1.05  1.02    1.99  1.33
//	AEAD_AES_256_GCM       seal   1.04  1.02    1.42  1.15
//	                       open   1.06  1.02    1.95  1.31
//	AES_CM_128_HMAC_SHA1_80
//	                       seal   0.76  0.90    1.33  2.08
//	                       open   0.75  0.90    1.45  2.12
//
// Less than 1 is because bare makes a stream for each packet, as crypto/cipher wants it.
// Against a stream that is never set to a packet's nonce ("floor") it is 1.00 to 1.09.
// For benchstat, each subject is a benchmark of its own as well:
//
//	go test -run '^$' -bench '(Seal|Open)/profile/size/by' -count 10 ./relay/forward/srtp > srtp.txt
//	benchstat -col /by srtp.txt
//
// # What did not pay
//
// Measured with: go test -run '^$' -bench Parts -benchtime 1s ./relay/forward/srtp
//
// AES-CM's key stream, against a stream that runs on without nonces (27 and 140 ns for
// 160 and 1200 bytes):
//   - setting the position of a stream of the standard library (counter.go): 1.10 and
//     1.02. Kept.
//   - cipher.NewCTR for each packet: 4.9 and 1.7, and 512 bytes of garbage.
//   - cipher.Block.Encrypt block by block: 7.7 and 10.9, since each block waits for the
//     one before, where the stream does eight at a time.
//
// HMAC-SHA1, against crypto/hmac with the packet and the rollover counter written one
// after the other (250 and 778 ns), which is kept:
//   - the counter in the tag's place, and one write: 0.97 and 0.99. Not worth that
//     opening would change packets before it knows that they are authentic.
//   - two digests whose states after the padded key are restored: 0.99 and 0.99;
//     crypto/hmac does the same.
//   - sha1.Sum over the padded key and the packet: 1.19 and 1.06.
package srtp

package negotiation

// limits bound what a Recorder keeps of one leg. A whole leg with all of it full has
// some megabytes, a brief one some hundred kilobytes.
type limits struct {
	// checks and pairs are ICE's. RFC 8445, section 6.1.2.5, wants agents to limit
	// themselves to 100 pairs.
	checks, pairs int
	// requests are the STUN requests that are remembered; the oldest are forgotten.
	// One that stays unanswered is repeated for 39.5 s (RFC 8489, section 6.2.1), in
	// which even a large agent sends fewer than a whole leg remembers.
	requests int
	// streams are those of SRTP, in both directions together.
	streams int
	// associations are handshakes of DTLS; openBytes bounds the messages of each of
	// their sides of which parts are missing, and messages those in the flights.
	associations, openBytes, messages int
}

func limitsOf(cfg Config) limits {
	if cfg.Brief {
		return limits{checks: 256, pairs: 16, requests: 128, streams: 32, associations: 2, openBytes: 16 << 10, messages: 32}
	}
	return limits{checks: 2048, pairs: 1024, requests: 4096, streams: 512, associations: 16, openBytes: 128 << 10, messages: 64}
}

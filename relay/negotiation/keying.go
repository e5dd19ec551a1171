package negotiation

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/pion/srtp/v3"

	"github.com/callpath/callpath/relay/negotiation/wire/dtls"
)

// Bounds of what is kept of keys.
const (
	maxSecrets = 64
	maxKeySets = 4
)

// keying has the leg's SRTP contexts, newest first, and the master secrets that
// wait for their handshake. It is the only place where keys are; nothing in it is
// ever written anywhere.
type keying struct {
	secrets map[[32]byte][]byte // by client random
	waiting [][32]byte          // oldest first
	sets    []keySet
}

// keySet has the contexts that verify what one association keyed, by
// index(outbound).
type keySet [2]*srtp.Context

func (k *keying) known() bool { return len(k.sets) > 0 }

// keyLog takes a line "CLIENT_RANDOM <random> <master secret>".
func (m *media) keyLog(line string) {
	f := strings.Fields(line)
	if len(f) != 3 || f[0] != "CLIENT_RANDOM" || len(f[1]) != 64 || len(f[2]) != 96 {
		return
	}
	random, err := hex.DecodeString(f[1])
	if err != nil {
		return
	}
	secret, err := hex.DecodeString(f[2])
	if err != nil {
		return
	}
	k := &m.keying
	id := [32]byte(random)
	if k.secrets == nil {
		k.secrets = map[[32]byte][]byte{}
	}
	if _, known := k.secrets[id]; !known {
		k.waiting = append(k.waiting, id)
	}
	k.secrets[id] = secret
	if len(k.waiting) > maxSecrets {
		delete(k.secrets, k.waiting[0])
		k.waiting = k.waiting[1:]
	}
}

// keyed makes contexts of an association whose secret is known. Packets from
// before are counted, not verified; their rollover counters are taken over.
func (m *media) keyed(t time.Time, a *association) {
	secret := m.keying.secrets[a.client]
	if a.keyed || secret == nil || !a.clientKnown || !a.serverKnown || a.profile == 0 {
		return
	}
	a.keyed = true
	m.keying.drop(a.client)
	set, err := newKeySet(secret, a)
	if err != nil {
		m.journal.problem(t, fmt.Sprintf("SRTP can't be verified: %v", err))
		return
	}
	if m.scratch == nil {
		m.scratch = make([]byte, maxPlaintext)
	}
	for _, s := range m.order {
		set[index(s.outbound)].SetROC(s.SSRC, s.sequence.rollover())
	}
	m.keying.sets = append([]keySet{set}, m.keying.sets[:min(len(m.keying.sets), maxKeySets-1)]...)
	m.journal.event(t, EventKeys, slog.String(KeyProfile, a.SRTPProfile))
}

// drop forgets a secret that has been used.
func (k *keying) drop(client [32]byte) {
	delete(k.secrets, client)
	k.waiting = slices.DeleteFunc(k.waiting, func(w [32]byte) bool { return w == client })
}

// exporterLabel is that of RFC 5764, section 4.2.
const exporterLabel = "EXTRACTOR-dtls_srtp"

// newKeySet derives SRTP's master keys (RFC 5764, section 4.2; RFC 7714, section
// 12).
func newKeySet(secret []byte, a *association) (keySet, error) {
	if a.version != dtls.VersionDTLS12 {
		return keySet{}, fmt.Errorf("keys of %s are not derived; valid: DTLS 1.2", a.Version)
	}
	profile := srtp.ProtectionProfile(a.profile)
	keyLength, err := profile.KeyLen()
	if err != nil {
		return keySet{}, fmt.Errorf("profile %s: %w", a.SRTPProfile, err)
	}
	saltLength, err := profile.SaltLen()
	if err != nil {
		return keySet{}, fmt.Errorf("profile %s: %w", a.SRTPProfile, err)
	}
	material := reader(exporter(secret, a, 2*(keyLength+saltLength)))
	keys := [2][]byte{material.take(keyLength), material.take(keyLength)}
	salts := [2][]byte{material.take(saltLength), material.take(saltLength)}
	var options []srtp.ContextOption
	if len(a.mki) > 0 {
		options = append(options, srtp.MasterKeyIndicator(a.mki))
	}
	var set keySet
	for _, outbound := range []bool{true, false} {
		side := a.side(outbound)
		set[index(outbound)], err = srtp.CreateContext(keys[side], salts[side], profile, options...)
		if err != nil {
			return keySet{}, fmt.Errorf("profile %s: %w", a.SRTPProfile, err)
		}
	}
	return set, nil
}

// reader hands out the beginning of what it has.
type reader []byte

func (r *reader) take(n int) []byte {
	b := (*r)[:n:n]
	*r = (*r)[n:]
	return b
}

// exporter is RFC 5705 without context, on TLS 1.2's PRF.
func exporter(secret []byte, a *association, length int) []byte {
	h := sha256.New
	if strings.HasSuffix(a.CipherSuite, "_SHA384") {
		h = sha512.New384
	}
	seed := append([]byte(exporterLabel), a.client[:]...)
	seed = append(seed, a.server[:]...)
	return prf(h, secret, seed, length)
}

// prf is P_hash of RFC 5246, section 5; seed begins with the label.
func prf(h func() hash.Hash, secret, seed []byte, length int) []byte {
	out := make([]byte, 0, length+h().Size())
	mac := hmac.New(h, secret)
	sum := func(parts ...[]byte) []byte {
		mac.Reset()
		for _, p := range parts {
			mac.Write(p)
		}
		return mac.Sum(nil)
	}
	for a := sum(seed); len(out) < length; a = sum(a) {
		out = append(out, sum(a, seed)...)
	}
	return out[:length]
}

// verifyRTP tells whether a packet's tag verifies under one of the keys.
func (k *keying) verifyRTP(m *media, outbound bool, b []byte) bool {
	// The header's extensions are parts of b, which is not kept.
	defer func() { clear(m.header.Extensions) }()
	for i := range k.sets {
		if _, err := k.sets[i][index(outbound)].DecryptRTP(m.scratch, b, &m.header); err == nil {
			return true
		}
	}
	return false
}

// verifyRTCP is verifyRTP for SRTCP.
func (k *keying) verifyRTCP(m *media, outbound bool, b []byte) bool {
	for i := range k.sets {
		if _, err := k.sets[i][index(outbound)].DecryptRTCP(m.scratch, b, &m.control); err == nil {
			return true
		}
	}
	return false
}

// negotiated takes the profile of a handshake, which says where SRTCP's index
// stands: before the tag (RFC 3711, section 3.4), or with an AEAD at the end
// (RFC 7714, section 9.3); the MKI comes after it in both.
func (m *media) negotiated(a *association) {
	tag, err := srtp.ProtectionProfile(a.profile).AuthTagRTCPLen()
	if err != nil {
		return
	}
	m.after, m.afterKnown = tag+len(a.mki), true
}

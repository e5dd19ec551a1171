package negotiation

import (
	"encoding/hex"
	"log/slog"
	"time"

	"github.com/callpath/callpath/relay/negotiation/wire/dtls"
)

// readers read the messages of a handshake that tell something.
var readers = map[dtls.Type]func(d *associations, t time.Time, a *association, side int, body []byte) error{
	dtls.ClientHello:        (*associations).clientHello,
	dtls.HelloVerifyRequest: (*associations).helloVerifyRequest,
	dtls.ServerHello:        (*associations).serverHello,
	dtls.Certificate:        (*associations).certificate,
	dtls.ServerKeyExchange:  (*associations).serverKeyExchange,
	dtls.CertificateVerify:  (*associations).certificateVerify,
}

func (d *associations) clientHello(t time.Time, a *association, _ int, body []byte) error {
	h, err := dtls.ParseClientHello(body)
	if err != nil {
		return err
	}
	a.client, a.clientKnown = h.Random, true
	a.VersionsOffered = names(dtls.VersionName, h.Versions)
	a.CipherSuitesOffered = names(dtls.CipherSuiteName, h.CipherSuites)
	a.GroupsOffered = names(dtls.GroupName, h.Groups)
	a.SignaturesOffered = names(dtls.SignatureName, h.Signatures)
	a.SRTPProfilesOffered = names(dtls.SRTPProfileName, h.SRTPProfiles)
	d.journal.event(t, EventClientHello, slog.String(KeyRole, a.Role), slog.Any(KeyVersion, a.VersionsOffered),
		slog.Any(KeySuite, a.CipherSuitesOffered), slog.Any(KeyProfile, a.SRTPProfilesOffered),
		slog.String(KeyLocal, a.Local.String()), slog.String(KeyRemote, a.Remote.String()))
	return nil
}

func (d *associations) helloVerifyRequest(t time.Time, _ *association, _ int, _ []byte) error {
	d.journal.event(t, EventHelloVerifyRequest)
	return nil
}

func (d *associations) serverHello(t time.Time, a *association, _ int, body []byte) error {
	h, err := dtls.ParseServerHello(body)
	if err != nil {
		return err
	}
	a.server, a.serverKnown = h.Random, true
	a.version = h.Versions[0]
	a.suite = h.CipherSuites[0]
	a.Version = dtls.VersionName(a.version)
	a.CipherSuite = dtls.CipherSuiteName(a.suite)
	a.ExtendedMasterSecret = h.ExtendedMasterSecret
	if len(h.SRTPProfiles) == 1 {
		a.profile = h.SRTPProfiles[0]
		a.SRTPProfile = dtls.SRTPProfileName(a.profile)
		a.mki = append([]byte(nil), h.MKI...)
		a.MKI = hex.EncodeToString(h.MKI)
	}
	d.journal.event(t, EventServerHello, slog.String(KeyVersion, a.Version), slog.String(KeySuite, a.CipherSuite),
		slog.String(KeyProfile, a.SRTPProfile))
	switch {
	case a.version == dtls.VersionDTLS13:
		d.journal.problem(t, "DTLS 1.3 was chosen: what follows the ServerHello is encrypted and not in this record")
	case a.profile == 0 && len(a.SRTPProfilesOffered) > 0:
		d.journal.problem(t, "the server chose no SRTP profile of those that the client offered")
	}
	return nil
}

func (d *associations) certificate(t time.Time, a *association, side int, body []byte) error {
	chain, err := dtls.ParseCertificate(body)
	if err != nil {
		return err
	}
	if len(chain) == 0 {
		return nil // a client without one (RFC 5246, section 7.4.6)
	}
	c, err := newCertificate(chain[0])
	a.certificates[side] = c
	d.journal.event(t, EventCertificate, slog.String(KeySide, sideNames[side]), slog.String(KeySubject, c.Subject),
		slog.String(KeyType, c.Key))
	return err
}

func (d *associations) serverKeyExchange(_ time.Time, a *association, _ int, body []byte) error {
	group, scheme, ok := dtls.ParseServerKeyExchange(body, a.version)
	if !ok {
		return nil
	}
	a.Group = dtls.GroupName(group)
	if scheme != 0 {
		a.SignatureScheme = dtls.SignatureName(scheme)
	}
	return nil
}

func (d *associations) certificateVerify(_ time.Time, a *association, _ int, body []byte) error {
	scheme, ok := dtls.ParseCertificateVerify(body, a.version)
	if ok && a.SignatureScheme == "" {
		a.SignatureScheme = dtls.SignatureName(scheme)
	}
	return nil
}

func names(name func(uint16) string, ids []uint16) []string {
	all := make([]string, 0, len(ids))
	for _, id := range ids {
		all = append(all, name(id))
	}
	return all
}

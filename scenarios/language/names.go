package language

// profiles are the SRTP protection profiles by their names in a scenario, with
// the names of IANA's registry (RFC 5764, RFC 7714).
var profiles = []struct{ name, iana string }{
	{"aead-aes-256-gcm", "SRTP_AEAD_AES_256_GCM"},
	{"aead-aes-128-gcm", "SRTP_AEAD_AES_128_GCM"},
	{"aes-cm-128-hmac-sha1-80", "SRTP_AES128_CM_HMAC_SHA1_80"},
}

// ProfileName is the IANA name of an SRTP profile that may have its name in a
// scenario; any other word is returned as it is.
func ProfileName(name string) string {
	for _, p := range profiles {
		if p.name == name {
			return p.iana
		}
	}
	return name
}

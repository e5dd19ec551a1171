package user

import (
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"
)

const (
	step      = 30 // seconds (RFC 6238, section 4.1)
	minSecret = 16 // bytes (RFC 4226, section 4, R6)
	// document is the name of the used codes in the store.
	document = "used-codes"
)

// NewTOTP makes the secret of a second factor, and the otpauth URL by which an
// authenticator app takes it, usually as a QR code. The URL holds the secret.
func NewTOTP(issuer, account string) (secret, url string, err error) {
	key, err := totp.Generate(totp.GenerateOpts{Issuer: issuer, AccountName: account, Period: step})
	if err != nil {
		return "", "", fmt.Errorf("user: no secret for a second factor: %w", err)
	}
	return key.Secret(), key.URL(), nil
}

func validSecret(text string) bool {
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.TrimRight(strings.ToUpper(text), "="))
	return err == nil && len(raw) >= minSecret
}

// The outcomes of CheckCode.
var (
	ErrNoSecondFactor = errors.New("the user has no second factor")
	ErrWrongCode      = errors.New("the code is wrong")
	// ErrUsedCode is for a code that was right, or an older one: each is good
	// for one sign-in (RFC 6238, section 5.2).
	ErrUsedCode = errors.New("the code, or a later one, has been used")
)

// CheckCode takes a one-time code of six digits, of the present time step, the one
// before or the one after. A code that was taken is not taken again, nor is one
// before it, also after a restart.
func (d *Directory) CheckCode(id, code string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.users[id]
	if e == nil || e.TOTP == "" || e.Disabled {
		return ErrNoSecondFactor
	}
	now := d.now().Unix() / step
	matched := int64(-1)
	for _, at := range []int64{now - 1, now, now + 1} { // always all three
		ok, err := hotp.ValidateCustom(code, uint64(at), e.TOTP, hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
		if err == nil && ok {
			matched = at
		}
	}
	if matched < 0 {
		return ErrWrongCode
	}
	last, known := d.used[id]
	if known && matched <= last {
		return ErrUsedCode
	}
	d.used[id] = matched
	if err := d.saveUsed(); err != nil {
		// It counts as used here, but not yet as taken.
		return err
	}
	return nil
}

func (d *Directory) loadUsed() error {
	d.used = map[string]int64{}
	data, err := d.store.Load(document)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(data, &d.used)
	}
	if err != nil {
		return fmt.Errorf("user: used codes: %w", err)
	}
	if d.used == nil { // the document was null
		d.used = map[string]int64{}
	}
	return nil
}

// saveUsed leaves out the codes that time has ended anyway. d.mu is held.
func (d *Directory) saveUsed() error {
	now := d.now().Unix() / step
	for id, at := range d.used {
		if at < now-1 {
			delete(d.used, id)
		}
	}
	data, err := json.Marshal(d.used)
	if err == nil {
		err = d.store.Save(document, data)
	}
	if err != nil {
		return fmt.Errorf("user: used codes are not saved: %w", err)
	}
	return nil
}

// Code is the one-time code of a secret at a time: what an authenticator app
// shows. A command line that signs in by itself needs it.
func Code(secret string, at time.Time) (string, error) {
	code, err := totp.GenerateCode(secret, at)
	if err != nil {
		return "", errors.New("user: the secret of the second factor is not base32")
	}
	return code, nil
}

package turn

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Credential mints a time-limited credential by coturn's REST convention: the
// username is the time of expiry in Unix seconds, a colon and the user, and the
// password is the username's HMAC-SHA1 under the shared secret, in base64. The
// relay needs nothing but the secret to verify it.
//
// A call, when there is one, follows the user after a slash: "1764021600:alice/c1".
// Slashes and percent signs within user and call are percent-encoded, so a
// username has one meaning. Without a call the username is coturn's plain form.
// RFC 8489 limits usernames to 508 bytes.
//
// Expiry is checked at each authenticated request, refreshes included: a
// credential has to outlive its call, or be followed by another for the same user
// and call, which may refresh the same allocation.
func Credential(secret []byte, user, call string, expires time.Time) (username, password string) {
	username = identity{user: user, call: call, expires: expires}.username()
	return username, passwordOf(secret, username)
}

// passwordOf is the password that belongs to a username.
func passwordOf(secret []byte, username string) string {
	mac := hmac.New(sha1.New, secret)
	mac.Write([]byte(username))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// identity is what a username says.
type identity struct {
	user, call string
	expires    time.Time
}

// maxUsername is the limit of RFC 8489, section 14.3: fewer than 509 bytes.
const maxUsername = 508

func (i identity) username() string {
	name := strconv.FormatInt(i.expires.Unix(), 10) + ":" + url.PathEscape(i.user)
	if i.call != "" {
		name += "/" + url.PathEscape(i.call)
	}
	return name
}

// owner identifies whom an allocation belongs to: the user in one call. It leaves
// the expiry out, so that a renewed credential can refresh what an earlier one of
// the same user and call allocated.
func (i identity) owner() string {
	return url.PathEscape(i.user) + "/" + url.PathEscape(i.call)
}

// parseUsername reads what a username says. It verifies nothing.
func parseUsername(username string) (identity, error) {
	if len(username) > maxUsername {
		return identity{}, fmt.Errorf("username of %d bytes; at most %d are valid", len(username), maxUsername)
	}
	stamp, name, found := strings.Cut(username, ":")
	if !found {
		return identity{}, errors.New("username without expiry; valid: expiry:user or expiry:user/call")
	}
	seconds, err := strconv.ParseUint(stamp, 10, 63)
	if err != nil {
		return identity{}, errors.New("username does not begin with an expiry in Unix seconds")
	}
	user, call, _ := strings.Cut(name, "/")
	if user, err = url.PathUnescape(user); err != nil {
		return identity{}, errors.New("username's user has a percent sign that encodes nothing")
	}
	if call, err = url.PathUnescape(call); err != nil {
		return identity{}, errors.New("username's call has a percent sign that encodes nothing")
	}
	if user == "" {
		return identity{}, errors.New("username names no user")
	}
	return identity{user: user, call: call, expires: time.Unix(int64(seconds), 0).UTC()}, nil
}

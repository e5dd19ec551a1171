package turn

import (
	"strings"
	"testing"
	"time"
)

func TestCredentialFollowsTheRESTConvention(t *testing.T) {
	expires := time.Unix(1795521600, 999)
	for _, c := range []struct{ user, call, username, password string }{
		// Passwords: printf %s USERNAME | openssl dgst -sha1 -hmac north -binary | base64
		{"alice", "", "1795521600:alice", "cta9/IpaSnHPo2mlDkbot/rHOsc="},
		{"alice", "call-1", "1795521600:alice/call-1", "vXH2kPrSDB4ZSN1IviZG7clZ9q8="},
		{"8:acs:a-b_c", "", "1795521600:8:acs:a-b_c", "jJG2FT0wpJl4JSnWjcCGEUfN3Tk="},
		{"a/b%", "c/d e", "1795521600:a%2Fb%25/c%2Fd%20e", "yN9fuMZqosQetNo3dJNDwcCImZM="},
	} {
		username, password := Credential([]byte("north"), c.user, c.call, expires)
		if username != c.username || password != c.password {
			t.Errorf("%s in %q: wanted %s %s, got %s %s", c.user, c.call, c.username, c.password, username, password)
		}
		who, err := parseUsername(username)
		if err != nil || who.user != c.user || who.call != c.call || who.expires.Unix() != expires.Unix() {
			t.Errorf("%s reads as %+v, %v", username, who, err)
		}
	}
}

func FuzzUsername(f *testing.F) {
	for _, s := range []string{"1795521600:alice", "1795521600:alice/call", "1:%2F/%25", "9223372036854775807:x", ":", "1:/", "00:a", strings.Repeat("1", 600)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, username string) {
		who, err := parseUsername(username)
		if err != nil {
			return
		}
		if who.user == "" || len(username) > maxUsername {
			t.Fatalf("%q was taken as %+v", username, who)
		}
		again, err := parseUsername(who.username())
		if len(who.username()) <= maxUsername && (err != nil || again != who) {
			t.Fatalf("%q: %+v is written as %q and read as %+v, %v", username, who, who.username(), again, err)
		}
		if strings.Count(who.owner(), "/") != 1 {
			t.Fatalf("%q: owner %q does not tell user and call apart", username, who.owner())
		}
	})
}

// However a username is minted, nobody becomes another's owner.
func FuzzOwner(f *testing.F) {
	f.Add("a", "b/c", "a/b", "c")
	f.Add("a%2Fb", "c", "a/b", "c")
	f.Fuzz(func(t *testing.T, user1, call1, user2, call2 string) {
		one, two := identity{user: user1, call: call1}, identity{user: user2, call: call2}
		if same := user1 == user2 && call1 == call2; (one.owner() == two.owner()) != same {
			t.Fatalf("%+v and %+v have owners %q and %q", one, two, one.owner(), two.owner())
		}
	})
}

package server

import (
	"fmt"
	"regexp"
)

// Chat configures the chats, and what protects them.
type Chat struct {
	// DLP is a file with the rules of data loss prevention; it is read again when it
	// changes.
	DLP string `yaml:"dlp"`
	// Vault is the file of the customer's root keys, of which Roots names the two that
	// the data encryption policy begins with.
	Vault string   `yaml:"vault"`
	Roots []string `yaml:"roots"`
}

// rootName is what a root key may be called: it stands in paths of the control socket.
var rootName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func (c *Config) checkChat(f finder) {
	r := c.Chat.Roots
	if len(r) != 2 || r[0] == r[1] {
		f.wrong("chat.roots", "found %q, wanted the names of two different root keys", r)
	}
	for i, name := range r {
		if !rootName.MatchString(name) {
			f.wrong(fmt.Sprintf("chat.roots[%d]", i), `found %q, wanted 1 to 64 letters, digits or any of "._-"`, name)
		}
	}
}

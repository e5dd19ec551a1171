package user

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"
)

// The cost of a new hash: OWASP's least for argon2id (19 MiB, two passes, one
// lane), so that a server of two cores checks dozens in a second and an attacker
// with the file pays for memory.
const (
	costMemory = 19 << 10 // KiB
	costTime   = 2
	costLanes  = 1
	saltBytes  = 16
	hashBytes  = 32
)

// What a stored hash may cost at most: it is checked for whoever asks.
const (
	maxMemory = 256 << 10 // KiB
	maxTime   = 16
	maxLanes  = 8
)

const (
	minPassword = 8
	maxPassword = 1024
	// patience is how long a password waits to be checked.
	patience = 5 * time.Second
)

// hash is an argon2id hash with what it was made with.
type hash struct {
	memory, time uint32
	lanes        uint8
	salt, sum    []byte
}

// Hash returns the hash of a password of 8 to 1024 bytes in the usual text form,
// "$argon2id$v=19$m=…,t=…,p=…$salt$hash".
func Hash(password string) (string, error) {
	if n := len(password); n < minPassword || n > maxPassword {
		return "", fmt.Errorf("user: the password has %d bytes, wanted %d to %d", n, minPassword, maxPassword)
	}
	h := hash{memory: costMemory, time: costTime, lanes: costLanes, salt: make([]byte, saltBytes)}
	rand.Read(h.salt)
	h.sum = h.of(password)
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.time, h.lanes, b64(h.salt), b64(h.sum)), nil
}

func (h hash) of(password string) []byte {
	n := len(h.sum)
	if n == 0 {
		n = hashBytes
	}
	return argon2.IDKey([]byte(password), h.salt, h.time, h.memory, h.lanes, uint32(n))
}

var errHash = errors.New("it is not a hash of the form $argon2id$v=19$m=…,t=…,p=…$salt$hash")

// parseHash never has the hash in its error.
func parseHash(text string) (hash, error) {
	var h hash
	var version int
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return h, errHash
	}
	if n, err := fmt.Sscanf(parts[2], "v=%d", &version); n != 1 || err != nil || version != argon2.Version {
		return h, errHash
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.time, &h.lanes); n != 3 || err != nil {
		return h, errHash
	}
	var err error
	if h.salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil {
		return h, errHash
	}
	if h.sum, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil {
		return h, errHash
	}
	switch {
	case h.memory < 8*uint32(h.lanes) || h.memory > maxMemory, h.time < 1 || h.time > maxTime, h.lanes < 1 || h.lanes > maxLanes:
		return h, fmt.Errorf("its cost is m=%d,t=%d,p=%d; valid: m up to %d, t 1 to %d, p 1 to %d", h.memory, h.time, h.lanes, maxMemory, maxTime, maxLanes)
	case len(h.salt) < 8 || len(h.salt) > 64 || len(h.sum) < 16 || len(h.sum) > 64:
		return h, errors.New("its salt or its sum has too few or too many bytes")
	}
	return h, nil
}

// stranger is a hash that no password has.
func stranger() hash {
	h := hash{memory: costMemory, time: costTime, lanes: costLanes, salt: make([]byte, saltBytes), sum: make([]byte, hashBytes)}
	rand.Read(h.salt)
	rand.Read(h.sum)
	return h
}

// CheckPassword says whether a password is the user's. A user who does not exist
// or is disabled takes as long as one who does. The error is ErrBusy, or that of
// ctx.
func (d *Directory) CheckPassword(ctx context.Context, id, password string) (bool, error) {
	if len(password) > maxPassword {
		return false, nil
	}
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case d.hashing <- struct{}{}:
		defer func() { <-d.hashing }()
	case <-wait.Done():
		if err := ctx.Err(); err != nil {
			return false, err
		}
		return false, ErrBusy
	}
	h := d.stranger
	d.mu.Lock()
	e := d.users[id]
	known := e != nil && !e.Disabled
	if known {
		h = e.password
	}
	d.mu.Unlock()
	return subtle.ConstantTimeCompare(h.of(password), h.sum) == 1 && known, nil
}

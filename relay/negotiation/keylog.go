package negotiation

import (
	"io"
	"os"
)

// KeyLogFile opens an NSS key log.
func KeyLogFile(path string) (io.WriteCloser, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

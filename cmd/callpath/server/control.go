package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	signing "github.com/callpath/callpath/signaling/identity/keys"
	"github.com/callpath/callpath/signaling/identity/user"
)

// The control socket takes what an operator does to a running server: end the tokens
// of a user, and rotate or withdraw signing keys. It is a Unix socket in a directory
// of mode 0700: whoever may open it owns the server's secrets already.

// fileControl is the socket.
var fileControl = filepath.Join(directoryIdentity, "control.sock")

// openControl listens on the socket. Without it, which is told, the server is
// complete for everybody else.
func (s *Server) openControl(ctx context.Context) net.Listener {
	path := s.keys.state.path(fileControl)
	// One that is there is a former server's, or of one that drains.
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	var ln net.Listener
	if err == nil {
		ln, err = (&net.ListenConfig{}).Listen(ctx, "unix", path)
	}
	if err != nil {
		s.log.Warn("no control socket: tokens and keys cannot be revoked while the server runs", "socket", path, "error", err)
		return nil
	}
	// A newer server may have put its own there by the time that this one ends.
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	return ln
}

func (s *Server) controlHandler() http.Handler {
	mux := http.NewServeMux()
	done := func(w http.ResponseWriter, err error) {
		switch {
		case errors.Is(err, signing.ErrUnknown), errors.Is(err, errNoRoot):
			http.Error(w, err.Error(), http.StatusNotFound)
		case err != nil:
			http.Error(w, err.Error(), http.StatusInternalServerError)
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	}
	mux.HandleFunc("POST /users/{id}/revoke", func(w http.ResponseWriter, r *http.Request) {
		id := r.PathValue("id")
		if !user.ValidID(id) {
			http.Error(w, fmt.Sprintf("%q is no user's ID", id), http.StatusBadRequest)
			return
		}
		done(w, s.identity.RevokeUser(id))
	})
	mux.HandleFunc("POST /keys/rotate", func(w http.ResponseWriter, _ *http.Request) {
		done(w, s.identity.Keys().Rotate())
	})
	mux.HandleFunc("POST /keys/{kid}/withdraw", func(w http.ResponseWriter, r *http.Request) {
		done(w, s.identity.Keys().Withdraw(r.PathValue("kid")))
	})
	s.controlChat(mux, done)
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		set, err := s.identity.Keys().Public()
		if err != nil {
			done(w, err)
			return
		}
		var kids []string
		for _, k := range set.Keys {
			kids = append(kids, k.KeyID)
		}
		_ = json.NewEncoder(w).Encode(kids) // an error means that the client has gone
	})
	return mux
}

// Control is the operator's end of a running server's control socket.
type Control struct{ client *http.Client }

// Control returns that of the server that runs with this configuration's state
// directory.
func (c *Config) Control() Control {
	path := state(c.State).path(fileControl)
	return Control{&http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
			if err != nil {
				return nil, fmt.Errorf("no server runs with the state directory %s: %w", c.State, err)
			}
			return conn, nil
		},
	}}}
}

// RevokeUser ends all tokens and sign-ins of a user.
func (c Control) RevokeUser(ctx context.Context, id string) error {
	_, err := c.ask(ctx, http.MethodPost, "/users/"+url.PathEscape(id)+"/revoke")
	return err
}

// RotateKeys begins a rotation of the signing keys before its time.
func (c Control) RotateKeys(ctx context.Context) error {
	_, err := c.ask(ctx, http.MethodPost, "/keys/rotate")
	return err
}

// WithdrawKey throws a signing key away, with all tokens that it signed.
func (c Control) WithdrawKey(ctx context.Context, kid string) error {
	_, err := c.ask(ctx, http.MethodPost, "/keys/"+url.PathEscape(kid)+"/withdraw")
	return err
}

// Keys are the IDs of the keys that are published, in the order in which they sign.
func (c Control) Keys(ctx context.Context) ([]string, error) {
	body, err := c.ask(ctx, http.MethodGet, "/keys")
	if err != nil {
		return nil, err
	}
	var kids []string
	return kids, json.Unmarshal(body, &kids)
}

// maxControl bounds what is read of an answer, in bytes.
const maxControl = 64 << 10

func (c Control) ask(ctx context.Context, method, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://control"+path, nil)
	if err != nil {
		return nil, err
	}
	re, err := c.client.Do(req)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err // without the URL, which nobody has written
		}
		return nil, err
	}
	defer re.Body.Close()
	body, err := io.ReadAll(io.LimitReader(re.Body, maxControl))
	if err != nil {
		return nil, err
	}
	if re.StatusCode >= http.StatusBadRequest {
		return nil, errors.New(strings.TrimSpace(string(body)))
	}
	return body, nil
}

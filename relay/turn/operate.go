package turn

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

// SetSecrets replaces the shared secrets, under the rules of Config.Secrets. What
// is allocated stays; a request that is signed with a secret that is no more is
// refused from now on, a refresh too.
func (s *Server) SetSecrets(secrets [][]byte) error {
	if err := checkSecrets(secrets); err != nil {
		return fmt.Errorf("transport relay: %w", err)
	}
	copied := make([][]byte, len(secrets))
	for i, secret := range secrets {
		copied[i] = append([]byte(nil), secret...)
	}
	s.shared.Store(&copied)
	return nil
}

// secrets are those of this moment.
func (s *Server) secrets() [][]byte { return *s.shared.Load() }

func checkSecrets(secrets [][]byte) error {
	if len(secrets) == 0 {
		return fmt.Errorf("secrets is empty: a relay without credentials would be open to all")
	}
	for i, secret := range secrets {
		if len(secret) == 0 {
			return fmt.Errorf("secrets[%d] is empty", i)
		}
	}
	return nil
}

// Drain refuses new allocations with 508 from now on, while those that live are
// served as before, and waits until the last one has ended or ctx has. It returns
// how many are left. Close ends them.
func (s *Server) Drain(ctx context.Context) (left int) {
	select {
	case <-s.quotas.drain():
	case <-ctx.Done():
	}
	return s.allocations.count()
}

// clock is the runtime's, which the engine has too.
func (s *Server) clock() time.Time { return time.Now() }

// Permits says whether a client of a relay with this config may have a permission
// for a peer, and the rule by which not. The relay's own relayed addresses are
// permitted, as two clients of one relay are each other's peers on them: there,
// only live relayed transport addresses are reached.
func (c Config) Permits(peer netip.Addr) (rule string, allowed bool) {
	o := newOwn(c)
	return o.permits(peer.Unmap())
}

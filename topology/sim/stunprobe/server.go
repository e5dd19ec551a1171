package stunprobe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"github.com/pion/stun/v4"
)

// Server answers binding requests on two addresses and two ports.
type Server struct {
	sockets [2][2]net.PacketConn // by address and port
	ends    [2][2]netip.AddrPort
}

// Listen opens a server's sockets on ports 3478 and 3479 of both addresses, which
// are of one family. Run must be called, and closes them.
func Listen(ctx context.Context, listen ListenPacket, addresses [2]netip.Addr) (*Server, error) {
	s := new(Server)
	for a, address := range addresses {
		for p, port := range ports {
			s.ends[a][p] = netip.AddrPortFrom(address, port)
			pc, err := listen(ctx, network(address), s.ends[a][p].String())
			if err != nil {
				return nil, errors.Join(fmt.Errorf("STUN probe: %w", err), s.close())
			}
			s.sockets[a][p] = pc
		}
	}
	return s, nil
}

func network(a netip.Addr) string {
	if a.Is4() {
		return "udp4"
	}
	return "udp6"
}

func (s *Server) close() error {
	var errs []error
	for _, row := range s.sockets {
		for _, pc := range row {
			if pc != nil {
				errs = append(errs, pc.Close())
			}
		}
	}
	return errors.Join(errs...)
}

// Run answers requests until ctx ends, closes the sockets and waits. It returns an
// error when a socket breaks before that.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var readers sync.WaitGroup
	for a := range s.sockets {
		for p := range s.sockets[a] {
			readers.Go(func() { cancel(s.read(a, p)) })
		}
	}
	<-ctx.Done()
	err := s.close()
	readers.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		return errors.Join(cause, err)
	}
	return err
}

func (s *Server) read(a, p int) error {
	buf := make([]byte, 1500)
	for {
		n, from, err := s.sockets[a][p].ReadFrom(buf)
		if err != nil {
			return fmt.Errorf("STUN probe at %v: %w", s.ends[a][p], err)
		}
		udp, ok := from.(*net.UDPAddr)
		if !ok {
			return fmt.Errorf("STUN probe at %v: sender %v is not a UDP address", s.ends[a][p], from)
		}
		answer, via, ok := s.answer(buf[:n], a, p, udp)
		if !ok {
			continue
		}
		// A failed answer is like a lost one; the client asks again.
		_, _ = via.WriteTo(answer, from)
	}
}

// answer makes the response to a binding request that came to a socket, and says
// from which socket it goes out (RFC 5780, section 6.1). What is not a binding
// request gets none.
func (s *Server) answer(request []byte, a, p int, from *net.UDPAddr) ([]byte, net.PacketConn, bool) {
	if !stun.IsMessage(request) {
		return nil, nil, false
	}
	m := &stun.Message{Raw: request}
	if m.Decode() != nil || m.Type != stun.BindingRequest {
		return nil, nil, false
	}
	outA, outP := a, p
	if change, err := m.Get(stun.AttrChangeRequest); err == nil {
		if len(change) != 4 {
			return nil, nil, false
		}
		flags := binary.BigEndian.Uint32(change)
		if flags&changeIP != 0 {
			outA = 1 - a
		}
		if flags&changePort != 0 {
			outP = 1 - p
		}
	}
	origin, other := s.ends[outA][outP], s.ends[1-a][1-p]
	r, err := stun.Build(
		stun.NewTransactionIDSetter(m.TransactionID), stun.BindingSuccess,
		&stun.XORMappedAddress{IP: from.IP, Port: from.Port},
		&stun.ResponseOrigin{IP: origin.Addr().AsSlice(), Port: int(origin.Port())},
		&stun.OtherAddress{IP: other.Addr().AsSlice(), Port: int(other.Port())},
		stun.Fingerprint,
	)
	if err != nil {
		return nil, nil, false
	}
	return r.Raw, s.sockets[outA][outP], true
}

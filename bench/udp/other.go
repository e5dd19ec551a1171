//go:build !linux

package udp

import (
	"errors"
	"net/netip"
	"time"
)

// errLinux is the error of everything on systems that lack these calls.
var errLinux = errors.New("the benchmark needs Linux")

// Socket cannot be opened on this system.
type Socket struct{}

// Open fails.
func Open(netip.AddrPort, Options) (*Socket, error) { return nil, errLinux }

// Connect fails.
func (s *Socket) Connect(netip.AddrPort) error { return errLinux }

// Local is no address.
func (s *Socket) Local() netip.AddrPort { return netip.AddrPort{} }

// Dropped is 0.
func (s *Socket) Dropped() uint64 { return 0 }

// Send fails.
func (s *Socket) Send([]byte) error { return errLinux }

// SendTo fails.
func (s *Socket) SendTo([]byte, *Address) error { return errLinux }

// Receive fails.
func (s *Socket) Receive([]byte) (int, Address, error) { return 0, Address{}, errLinux }

// Wait fails.
func (s *Socket) Wait(int) (bool, error) { return false, errLinux }

// Close does nothing.
func (s *Socket) Close() error { return nil }

// Empty is false.
func Empty(error) bool { return false }

// Refused is false.
func Refused(error) bool { return false }

// Outbox sends nothing on this system.
type Outbox struct{}

// NewOutbox makes one.
func NewOutbox(int, int) *Outbox { return &Outbox{} }

// Room is false.
func (o *Outbox) Room(int, int) bool { return false }

// Empty is true.
func (o *Outbox) Empty() bool { return true }

// Begin does nothing.
func (o *Outbox) Begin(*Address, int) {}

// Append does nothing.
func (o *Outbox) Append([]byte) {}

// Flush sends nothing.
func (o *Outbox) Flush(*Socket) int { return 0 }

// Inbox receives nothing on this system.
type Inbox struct{}

// NewInbox makes one.
func NewInbox(int, int) *Inbox { return &Inbox{} }

// Receive fails.
func (b *Inbox) Receive(*Socket) (int, error) { return 0, errLinux }

// Message is none.
func (b *Inbox) Message(int) Message { return Message{} }

// Poller cannot be made on this system.
type Poller struct{}

// NewPoller fails.
func NewPoller(int) (*Poller, error) { return nil, errLinux }

// Add fails.
func (p *Poller) Add(*Socket, int32) error { return errLinux }

// AddFile fails.
func (p *Poller) AddFile(int, int32) error { return errLinux }

// Wait fails.
func (p *Poller) Wait(time.Duration) (int, error) { return 0, errLinux }

// Ready is none.
func (p *Poller) Ready(int) int32 { return 0 }

// Close does nothing.
func (p *Poller) Close() error { return nil }

// Precise fails.
func Precise() error { return errLinux }
